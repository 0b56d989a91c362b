// Package measure is what the commands that measure share: a figure beside its goal and its raw limit, quantiles, and what this process costs
// the machine.
package measure
