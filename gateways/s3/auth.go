package s3

import (
	"crypto/hmac"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxSkew is how far a request's clock may be from ours.
	maxSkew = 15 * time.Minute
	// maxExpires is how long a presigned request may be good for.
	maxExpires = 7 * 24 * time.Hour
)

// signer is an authenticated request's key: the signatures of its chunks follow from it.
type signer struct {
	signature
	key *signingKey
}

// authenticate checks who sent a request and that it arrives as it was signed. Nothing of the body is read: see [payload].
func (g *Gateway) authenticate(r *http.Request, q query) (signer, error) {
	sig, err := parseSignature(r, q)
	if err != nil {
		return signer{}, err
	}
	if err := g.checkScope(sig.scope, sig.presigned); err != nil {
		return signer{}, err
	}
	if err := checkTime(&sig, g.now()); err != nil {
		return signer{}, err
	}
	if err := checkSigned(r, &sig); err != nil {
		return signer{}, err
	}
	secret, ok := g.credentials(sig.accessKey)
	if !ok {
		return signer{}, errInvalidAccessKey.with("AWSAccessKeyId", sig.accessKey)
	}
	s := signer{sig, g.keys.get(sig.scope, secret)}
	return s, s.check(r, q)
}

// check compares the signatures, in a time that does not depend on where they differ.
func (s *signer) check(r *http.Request, q query) error {
	var room [1024]byte
	canonical := s.canonical(room[:0], r, q)
	var line [256]byte
	toSign := s.toSign(line[:0], canonical)
	want := s.key.sign(toSign)
	if hmac.Equal(want[:], []byte(s.given)) {
		return nil
	}
	return errSignature.with("AWSAccessKeyId", s.accessKey).with("StringToSign", string(toSign)).
		with("SignatureProvided", s.given).with("CanonicalRequest", string(canonical))
}

// parseSignature reads what a request says of its signature.
func parseSignature(r *http.Request, q query) (signature, error) {
	header := r.Header.Get("Authorization")
	switch {
	case header != "" && q.has("X-Amz-Algorithm"):
		return signature{}, errInvalidArgument.say("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case strings.HasPrefix(header, sigAlgorithm):
		return parseAuthHeader(r, header)
	case header != "" && !strings.HasPrefix(header, "AWS"):
		return signature{}, errInvalidArgument.say("Unsupported Authorization Type").with("ArgumentName", "Authorization")
	case header != "":
		return signature{}, errInvalidRequest.say("The authorization mechanism you have provided is not supported. Please use %s.", sigAlgorithm)
	case q.has("X-Amz-Algorithm"):
		return parseAuthQuery(r, q)
	case q.has("AWSAccessKeyId") || q.has("Signature"):
		return signature{}, errInvalidRequest.say("Signature version 2 is not supported. Please use %s.", sigAlgorithm)
	}
	return signature{}, errAccessDenied.say("Anonymous requests are not allowed. Sign the request with %s.", sigAlgorithm)
}

// parseAuthHeader reads "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...".
func parseAuthHeader(r *http.Request, header string) (sig signature, err error) {
	var credential, signed string
	for field := range strings.SplitSeq(strings.TrimPrefix(header, sigAlgorithm), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			signed = value
		case "Signature":
			sig.given = value
		}
	}
	if credential == "" || signed == "" || sig.given == "" {
		return sig, errAuthHeader.say("The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	var ok bool
	if sig.scope, ok = parseScope(credential); !ok {
		return sig, errAuthHeader.say("The authorization header is malformed; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request\".")
	}
	if sig.at, err = headerTime(r); err != nil {
		return sig, err
	}
	sig.stamp = sig.at.Format(stampFormat)
	sig.signed = strings.Split(signed, ";")
	sig.payload = r.Header.Get("X-Amz-Content-Sha256")
	if sig.payload == "" {
		return sig, errInvalidRequest.say("Missing required header for this request: x-amz-content-sha256")
	}
	return sig, nil
}

// headerTime is when a request says it was signed: X-Amz-Date, or Date for want of it.
func headerTime(r *http.Request) (time.Time, error) {
	if v := r.Header.Get("X-Amz-Date"); v != "" {
		t, err := time.Parse(stampFormat, v)
		if err != nil {
			return t, errAccessDenied.say("AWS authentication requires a valid Date or x-amz-date header")
		}
		return t, nil
	}
	t, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		return t, errAccessDenied.say("AWS authentication requires a valid Date or x-amz-date header")
	}
	return t.UTC(), nil
}

// parseAuthQuery reads the signature of a presigned URL.
func parseAuthQuery(r *http.Request, q query) (sig signature, err error) {
	sig.presigned = true
	for _, name := range []string{"X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if q.get(name) == "" {
			return sig, errAuthQuery.say("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	if q.get("X-Amz-Algorithm") != sigAlgorithm {
		return sig, errAuthQuery.say("X-Amz-Algorithm only supports \"%s\".", sigAlgorithm)
	}
	var ok bool
	if sig.scope, ok = parseScope(q.get("X-Amz-Credential")); !ok {
		return sig, errAuthQuery.say("Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request\".")
	}
	sig.stamp = q.get("X-Amz-Date")
	if sig.at, err = time.Parse(stampFormat, sig.stamp); err != nil {
		return sig, errAuthQuery.say("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	seconds, err := strconv.ParseInt(q.get("X-Amz-Expires"), 10, 32)
	switch {
	case err != nil:
		return sig, errAuthQuery.say("X-Amz-Expires should be a number")
	case seconds < 0:
		return sig, errAuthQuery.say("X-Amz-Expires must be non-negative")
	case seconds > int64(maxExpires/time.Second):
		return sig, errAuthQuery.say("X-Amz-Expires must be less than a week (in seconds) 604800")
	}
	sig.expires = time.Duration(seconds) * time.Second
	sig.signed = strings.Split(q.get("X-Amz-SignedHeaders"), ";")
	sig.given = q.get("X-Amz-Signature")
	sig.payload = presignedPayload(r, q)
	return sig, nil
}

// presignedPayload is the payload hash that a presigned request was signed with: most are signed before there is a payload.
func presignedPayload(r *http.Request, q query) string {
	if v := q.get("X-Amz-Content-Sha256"); v != "" {
		return v
	}
	if v := r.Header.Get("X-Amz-Content-Sha256"); v != "" {
		return v
	}
	return unsignedSHA256
}

// checkScope refuses a signature for another region. Without a region of our own any is good.
func (g *Gateway) checkScope(s scope, presigned bool) error {
	if g.region == "" || s.region == g.region {
		return nil
	}
	c := errAuthHeader
	if presigned {
		c = errAuthQuery
	}
	return c.say("The authorization is malformed; the region '%s' is wrong; expecting '%s'", s.region, g.region).with("Region", g.region)
}

// checkTime refuses a request that is too old, or of the future.
func checkTime(sig *signature, now time.Time) error {
	if sig.at.UTC().Format(scopeDate) != sig.date {
		c := errAuthHeader
		if sig.presigned {
			c = errAuthQuery
		}
		return c.say("Invalid credential date \"%s\". This date is not the same as X-Amz-Date: \"%s\".", sig.date, sig.at.UTC().Format(scopeDate))
	}
	if sig.presigned {
		return checkExpiry(sig, now)
	}
	if d := now.Sub(sig.at); d > maxSkew || d < -maxSkew {
		return errRequestTimeTooSkewed.with("RequestTime", sig.stamp).with("ServerTime", now.UTC().Format(time.RFC3339)).
			with("MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10))
	}
	return nil
}

func checkExpiry(sig *signature, now time.Time) error {
	if sig.at.Sub(now) > maxSkew {
		return errAccessDenied.say("Request is not valid yet").with("ServerTime", now.UTC().Format(time.RFC3339))
	}
	if end := sig.at.Add(sig.expires); now.After(end) {
		return errAccessDenied.say("Request has expired").with("X-Amz-Expires", strconv.Itoa(int(sig.expires/time.Second))).
			with("Expires", end.UTC().Format(time.RFC3339)).with("ServerTime", now.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkSigned refuses headers that change what a request does and that its signature does not cover.
func checkSigned(r *http.Request, sig *signature) error {
	if !slices.Contains(sig.signed, "host") {
		return errAccessDenied.say("There were headers present in the request which were not signed").with("HeadersNotSigned", "host")
	}
	for name := range r.Header {
		if len(name) < 6 || !strings.EqualFold(name[:6], "X-Amz-") {
			continue
		}
		lower := strings.ToLower(name)
		if lower == "x-amz-content-sha256" || slices.Contains(sig.signed, lower) { // the former is signed by its value
			continue
		}
		return errAccessDenied.say("There were headers present in the request which were not signed").with("HeadersNotSigned", lower)
	}
	return nil
}
