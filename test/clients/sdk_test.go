package clients_test

import "testing"

// The AWS SDK for Go lives in a module of its own, so that nobody who builds edgefs needs it.
func TestAWSSDKGo(t *testing.T) {
	hawaii, tokyo := sites(t)
	g := goTool(t, "go")
	if _, errs, err := g.try(t, nil, "list", "-deps", "-test", "."); err != nil {
		t.Skipf("its modules are not here (make deps): %.300s", errs)
	}
	g = g.with(append(hawaii.env(), tokyo.peerEnv()...)...)
	out, errs, err := g.try(t, nil, "test", "-count=1", "-v", ".")
	if err != nil {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
	hasNot(t, out, "--- SKIP")
}

// The AWS SDK for JavaScript.
func TestAWSSDKJavaScript(t *testing.T) {
	hawaii, tokyo := sites(t)
	node := findTool(t, "node", append(hawaii.env(), tokyo.peerEnv()...)...)
	node.dir = "js"
	if _, _, err := node.try(t, nil, "--input-type=module", "-e", "import '@aws-sdk/client-s3'"); err != nil {
		t.Skip("@aws-sdk/client-s3 is not installed (make deps)")
	}
	out, errs, err := node.try(t, nil, "--test", "--test-reporter=spec", "s3.test.js")
	if err != nil {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
}
