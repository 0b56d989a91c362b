package clients_test

import (
	"testing"
	"time"
)

// TestAWSCLITagsAndLocks changes what a stored version's tags and locks are, and sees them keep it.
func TestAWSCLITagsAndLocks(t *testing.T) {
	hawaii, _ := sites(t)
	a, b := findAWS(t, hawaii), bucketName(t)
	a.json(t, "create-bucket", "--bucket", b, "--object-lock-enabled-for-bucket")
	body := file(t, a.dir, "locked", 1000)
	v := a.json(t, "put-object", "--bucket", b, "--key", "k", "--body", body, "--tagging", "a=1")["VersionId"].(string)
	version := []string{"--bucket", b, "--key", "k", "--version-id", v}
	of := func(operation string, more ...string) []string {
		return append(append([]string{operation}, version...), more...)
	}

	a.json(t, of("put-object-tagging", "--tagging", `TagSet=[{Key=b c,Value=2+2}]`)...)
	tags := a.at(t, append([]string{"s3api"}, of("get-object-tagging")...)...)
	has(t, tags, `"b c"`, `"2+2"`)
	hasNot(t, tags, `"a"`)
	a.json(t, of("delete-object-tagging")...)
	hasNot(t, a.at(t, append([]string{"s3api"}, of("get-object-tagging")...)...), `"b c"`)

	a.json(t, of("put-object-legal-hold", "--legal-hold", "Status=ON")...)
	a.refuses(t, "AccessDenied", append([]string{"s3api"}, of("delete-object")...)...)
	a.json(t, of("put-object-legal-hold", "--legal-hold", "Status=OFF")...)
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	a.json(t, of("put-object-retention", "--retention", "Mode=GOVERNANCE,RetainUntilDate="+until)...)
	if r := a.json(t, of("get-object-retention")...)["Retention"].(map[string]any); r["Mode"] != "GOVERNANCE" {
		t.Errorf("retention %v", r)
	}
	if h := a.json(t, "head-object", "--bucket", b, "--key", "k"); h["ObjectLockMode"] != "GOVERNANCE" {
		t.Errorf("head %v", h)
	}
	a.refuses(t, "AccessDenied", append([]string{"s3api"}, of("delete-object")...)...)
	a.json(t, of("delete-object", "--bypass-governance-retention")...)

	a.json(t, "put-object-lock-configuration", "--bucket", b, "--object-lock-configuration",
		"ObjectLockEnabled=Enabled,Rule={DefaultRetention={Mode=GOVERNANCE,Days=1}}")
	has(t, a.at(t, "s3api", "get-object-lock-configuration", "--bucket", b), "GOVERNANCE", `"Days": 1`)
	v = a.json(t, "put-object", "--bucket", b, "--key", "k", "--body", body)["VersionId"].(string)
	version[5] = v
	a.refuses(t, "AccessDenied", append([]string{"s3api"}, of("delete-object")...)...)
	a.json(t, "delete-objects", "--bucket", b, "--bypass-governance-retention", "--delete", `{"Objects":[{"Key":"k","VersionId":"`+v+`"}]}`)
	a.json(t, "delete-bucket", "--bucket", b)
}
