package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Status is the segment at this moment.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, request{method: http.MethodGet, path: "/status", patient: true}, nil, &s)
}

// Health is whether the segment serves.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	return h, c.call(ctx, request{method: http.MethodGet, path: "/health"}, nil, &h)
}

// Metrics is the text of all metrics, in the form of Prometheus.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	res, err := c.do(ctx, request{method: http.MethodGet, path: "/metrics"})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// Credentials are the S3 credentials of the segment's owner.
func (c *Client) Credentials(ctx context.Context) (k Credentials, err error) {
	return k, c.call(ctx, request{method: http.MethodGet, path: "/credentials/s3"}, nil, &k)
}

// Verify reads everything that is held and reports each fault and, from time to time, where it stands. An error of event ends it.
func (c *Client) Verify(ctx context.Context, v VerifyRequest, event func(VerifyEvent) error) error {
	r := request{method: http.MethodPost, path: "/verify", query: map[string]string{"bucket": v.Bucket}, patient: true}
	return c.lines(ctx, r, nil, func(line *json.Decoder) (bool, error) {
		var e VerifyEvent
		if err := line.Decode(&e); err != nil {
			return false, fmt.Errorf("the check was broken off: %w", err)
		}
		return e.Done, event(e)
	})
}

// Links are the links of the segment.
func (c *Client) Links(ctx context.Context) ([]Link, error) {
	var l Links
	err := c.call(ctx, request{method: http.MethodGet, path: "/links"}, nil, &l)
	return l.Links, err
}

// Invite makes an invitation for one other segment.
func (c *Client) Invite(ctx context.Context, r InvitationRequest) (i Invitation, err error) {
	return i, c.call(ctx, request{method: http.MethodPost, path: "/links/invitations"}, r, &i)
}

// Join links the segment with the one that made the invitation.
func (c *Client) Join(ctx context.Context, invitation string) (l Link, err error) {
	return l, c.call(ctx, request{method: http.MethodPost, path: "/links", patient: true}, Join{invitation}, &l)
}

// RemoveLink ends the link with a peer, named by its name or id, on this side.
func (c *Client) RemoveLink(ctx context.Context, peer string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/links/" + url.PathEscape(peer)}, nil, nil)
}
