// Package operator will hold the Kubernetes operator: custom resources in api/v1alpha1, a pure plan from what is wanted and what is
// observed, and thin reconcilers that talk to segments by the admin API alone. Nothing of it is there yet.
package operator
