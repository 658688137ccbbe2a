package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// WebhookSignature is the header that the push gateway signs its posts in.
const WebhookSignature = "Furima-Signature"

// WebhookTolerance is how much the clocks of sender and receiver may differ,
// delivery included. What is older may be a recording.
const WebhookTolerance = 5 * time.Minute

// ErrWebhook means that a post is not from the gateway, or is too old. What
// wraps it says more, for the log and not for the sender.
var ErrWebhook = errors.New("webhook is not to be believed")

// SignWebhook returns the header for a body: "t=TIME,v1=SIGNATURE", TIME in
// seconds since 1970 and SIGNATURE the HMAC-SHA256 of "TIME.BODY" in hex.
func SignWebhook(body []byte, secret string, now time.Time) string {
	t := strconv.FormatInt(now.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(webhookMAC(body, secret, t))
}

func webhookMAC(body []byte, secret, t string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = m.Write([]byte(t + ".")) // never fails
	_, _ = m.Write(body)
	return m.Sum(nil)
}

// VerifyWebhook checks that a post with the header WebhookSignature and this
// body, exactly as it arrived, comes from who has the secret, and is not older
// than WebhookTolerance. The body then is a FeedbackPage. Of several signatures
// ("v1=…,v1=…", while a secret is replaced) one must be right.
//
// Answer 2xx when its tokens are on disk, and anything else to get it again. A
// page may come twice: the tokens of one that ends at a cursor seen before are
// known.
func VerifyWebhook(header string, body []byte, secret string, now time.Time) error {
	if secret == "" {
		return fmt.Errorf("%w: there is no secret to check it with", ErrWebhook)
	}
	var at string
	var signatures [][]byte
	for part := range strings.SplitSeq(header, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch key {
		case "t":
			if at != "" {
				return fmt.Errorf("%w: it has two times", ErrWebhook)
			}
			at = value
		case "v1":
			if s, err := hex.DecodeString(value); err == nil && len(s) == sha256.Size {
				signatures = append(signatures, s)
			}
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || len(signatures) == 0 {
		return fmt.Errorf("%w: its signature is not of the form t=…,v1=…", ErrWebhook)
	}
	want := webhookMAC(body, secret, at)
	right := false
	for _, s := range signatures {
		right = hmac.Equal(s, want) || right
	}
	if !right {
		return fmt.Errorf("%w: its signature is wrong", ErrWebhook)
	}
	// Compared as numbers: no time that somebody made up can overflow them.
	if age := now.Unix() - seconds; seconds < 0 || age > int64(WebhookTolerance/time.Second) || age < -int64(WebhookTolerance/time.Second) {
		return fmt.Errorf("%w: it was signed at another time than now", ErrWebhook)
	}
	return nil
}
