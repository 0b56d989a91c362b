// Package s3 speaks Amazon S3's HTTP protocol in front of a segment: signatures, encodings, conditions, XML and error codes on the one side,
// [segment.Segment] on the other. It keeps no state of its own.
//
// A request goes one way down: [Gateway.ServeHTTP] parses and authenticates it (sigv4.go, auth.go), finds the operation (route.go), whose
// handler reads the body through [payload], which checks it while it passes, calls the segment, and answers. A handler returns its failure
// as an error; faults.go alone turns errors into S3 codes. What is supported, and how the rest is refused, is in docs/design/s3.md.
//
// The protocol: https://docs.aws.amazon.com/AmazonS3/latest/API/
package s3
