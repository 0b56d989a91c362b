// Package history checks that a server forgets nothing it has acknowledged. Put writes versions to keys and notes in a file what it is
// about to send and what was acknowledged; after the server was killed and started again, Check reads everything back and compares.
//
// The file is text, one record a line, each line with the CRC-32C of its rest in front, so that a person can follow a key with grep:
//
//	89a0d0b6 history 1 SEED BUCKET PREFIX    the first line; 1 is the version of the format
//	........ put KEY VERSION SIZE            about to be sent; synced before it is
//	........ delete KEY VERSION              the same of a delete
//	........ ok KEY VERSION                  acknowledged
//	........ no KEY VERSION                  certainly not done: never sent, or refused with a status 4xx
//	........ lost KEY VERSION REASON         outcome not known; for people, as it changes nothing
//
// Versions of a key grow by the line. A key is written by one worker, one request at a time, and after an unknown outcome not again in the same round,
// for the request might still be lingering in a living server. Between two rounds the server is to be restarted, or quiet.
package history
