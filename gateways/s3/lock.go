package s3

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"github.com/edgefs/edgefs/segment"
)

const (
	lockModeHeader  = "X-Amz-Object-Lock-Mode"
	lockUntilHeader = "X-Amz-Object-Lock-Retain-Until-Date"
	legalHoldHeader = "X-Amz-Object-Lock-Legal-Hold"
	bypassHeader    = "X-Amz-Bypass-Governance-Retention"
	lockBucket      = "X-Amz-Bucket-Object-Lock-Enabled"
)

// noObjectLock is what S3 says of locks in a bucket that was not made for them.
func noObjectLock() *fault {
	return errInvalidRequest.say("Bucket is missing Object Lock Configuration")
}

func parseMode(s string) (segment.RetentionMode, bool) {
	switch s {
	case "GOVERNANCE":
		return segment.Governance, true
	case "COMPLIANCE":
		return segment.Compliance, true
	}
	return segment.NoRetention, false
}

func modeName(m segment.RetentionMode) string { return strings.ToUpper(m.String()) }

func parseUntil(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// readLock takes from a request's headers the lock that a version is to have as it is written.
func readLock(h http.Header) (l segment.Lock, err error) {
	mode, until, hold := h.Get(lockModeHeader), h.Get(lockUntilHeader), h.Get(legalHoldHeader)
	if (mode == "") != (until == "") {
		return l, errInvalidArgument.say("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	}
	ok := true
	if mode != "" {
		if l.Mode, ok = parseMode(mode); !ok {
			return l, errInvalidArgument.say("Unknown wormMode directive.").with("ArgumentName", strings.ToLower(lockModeHeader)).with("ArgumentValue", mode)
		}
		if l.Until, ok = parseUntil(until); !ok {
			return l, errInvalidArgument.say("The retain until date must be provided in ISO 8601 format").with("ArgumentName", strings.ToLower(lockUntilHeader))
		}
	}
	switch hold {
	case "", "OFF":
	case "ON":
		l.LegalHold = true
	default:
		return l, errInvalidArgument.say("Legal Hold must be either of 'ON' or 'OFF'").with("ArgumentName", strings.ToLower(legalHoldHeader)).with("ArgumentValue", hold)
	}
	return l, nil
}

// checkLock refuses a lock that the bucket, or the time, would refuse when the body was sent.
func checkLock(b *segment.Bucket, l segment.Lock) error {
	switch {
	case l == segment.Lock{}:
		return nil
	case !b.Settings().Locks.Enabled:
		return noObjectLock()
	}
	return checkUntil(l.Retention)
}

func checkUntil(r segment.Retention) error {
	if r.Mode != segment.NoRetention && !r.Until.After(time.Now()) {
		return errInvalidArgument.say("The retain until date must be in the future!")
	}
	return nil
}

// describeLock sets the headers that tell of a version's lock.
func describeLock(h http.Header, v *segment.Version) {
	l := v.Lock()
	if l.Mode != segment.NoRetention {
		h.Set(lockModeHeader, modeName(l.Mode))
		h.Set(lockUntilHeader, string(appendTime(nil, l.Until)))
	}
	if l.LegalHold {
		h.Set(legalHoldHeader, "ON")
	}
}

func bypasses(h http.Header) bool { return strings.EqualFold(h.Get(bypassHeader), "true") }

// lockable is the version that the request names, in a bucket that can lock it.
func (c *call) lockable() (*segment.Bucket, segment.VersionRef, error) {
	b, ref, err := c.versionNamed()
	if err == nil && !b.Settings().Locks.Enabled {
		err = noObjectLock()
	}
	return b, ref, err
}

// locked is the lock of the version that the request names.
func (c *call) locked() (segment.Lock, error) {
	if _, _, err := c.lockable(); err != nil {
		return segment.Lock{}, err
	}
	v, err := c.stat()
	return v.Lock(), err
}

func (c *call) getRetention() error {
	l, err := c.locked()
	if err != nil {
		return err
	}
	if l.Mode == segment.NoRetention {
		return errNoObjectLockOn
	}
	var d document
	d.begin("Retention")
	d.text("Mode", modeName(l.Mode))
	d.time("RetainUntilDate", l.Until)
	d.close("Retention")
	c.send(http.StatusOK, d.b)
	return nil
}

// putRetention changes a version's retention: an empty one ends it.
func (c *call) putRetention() error {
	var doc struct {
		XMLName xml.Name `xml:"Retention"`
		Mode    string
		Until   string `xml:"RetainUntilDate"`
	}
	if err := c.readXML(&doc, maxConfiguration); err != nil {
		return err
	}
	var r segment.Retention
	if doc.Mode != "" || doc.Until != "" {
		mode, ok := parseMode(doc.Mode)
		until, dated := parseUntil(doc.Until)
		if !ok || !dated {
			return errMalformedXML
		}
		r = segment.Retention{Mode: mode, Until: until}
	}
	if err := checkUntil(r); err != nil {
		return err
	}
	return c.lock(segment.LockChange{Retention: &r})
}

func (c *call) getLegalHold() error {
	l, err := c.locked()
	if err != nil {
		return err
	}
	var d document
	d.begin("LegalHold")
	d.text("Status", map[bool]string{true: "ON", false: "OFF"}[l.LegalHold])
	d.close("LegalHold")
	c.send(http.StatusOK, d.b)
	return nil
}

func (c *call) putLegalHold() error {
	var doc struct {
		XMLName xml.Name `xml:"LegalHold"`
		Status  string
	}
	if err := c.readXML(&doc, maxConfiguration); err != nil {
		return err
	}
	if doc.Status != "ON" && doc.Status != "OFF" {
		return errMalformedXML
	}
	on := doc.Status == "ON"
	return c.lock(segment.LockChange{LegalHold: &on})
}

func (c *call) lock(change segment.LockChange) error {
	b, ref, err := c.lockable()
	if err != nil {
		return err
	}
	v, err := b.Lock(c.r.Context(), c.key, ref, change, segment.Cond{BypassGovernance: bypasses(c.r.Header)})
	if err != nil {
		return c.markerFault(err, ref)
	}
	c.tellVersion(&v)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) getLockConfiguration() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	set := b.Settings().Locks
	if !set.Enabled {
		return errNoObjectLock
	}
	var d document
	d.begin("ObjectLockConfiguration")
	d.text("ObjectLockEnabled", "Enabled")
	if set.Mode != segment.NoRetention {
		d.open("Rule")
		d.open("DefaultRetention")
		d.text("Mode", modeName(set.Mode))
		if set.Days > 0 {
			d.num("Days", set.Days)
		} else {
			d.num("Years", set.Years)
		}
		d.close("DefaultRetention")
		d.close("Rule")
	}
	d.close("ObjectLockConfiguration")
	c.send(http.StatusOK, d.b)
	return nil
}

// putLockConfiguration enables locks, for ever, and says which retention a new version gets.
func (c *call) putLockConfiguration() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	var doc struct {
		XMLName xml.Name `xml:"ObjectLockConfiguration"`
		Enabled string   `xml:"ObjectLockEnabled"`
		Rule    *struct {
			Default struct {
				Mode        string
				Days, Years *int64
			} `xml:"DefaultRetention"`
		}
	}
	if err := c.readXML(&doc, maxConfiguration); err != nil {
		return err
	}
	if doc.Enabled != "Enabled" {
		return errMalformedXML
	}
	set := segment.LockSettings{Enabled: true}
	if doc.Rule != nil {
		rule, ok := doc.Rule.Default, false
		if set.Mode, ok = parseMode(rule.Mode); !ok || (rule.Days == nil) == (rule.Years == nil) {
			return errMalformedXML
		}
		for _, part := range []struct{ from, to *int64 }{{rule.Days, &set.Days}, {rule.Years, &set.Years}} {
			if part.from == nil {
				continue
			}
			if *part.to = *part.from; *part.to <= 0 {
				return errInvalidArgument.say("Default retention period must be a positive integer value.")
			}
		}
	}
	err = b.Configure(c.r.Context(), func(s *segment.Settings) error {
		if s.Versioning != segment.Versioned {
			return errInvalidBucketState.say("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
		}
		s.Locks = set
		return nil
	})
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
