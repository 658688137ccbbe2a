package push

import (
	"errors"
	"net/url"
	"strings"
	"time"
)

// WebhookConfig is one [push.apps.webhook] table: where the app's dead tokens are
// posted to, in the form of GET /v1/feedback, signed.
type WebhookConfig struct {
	// Where dead tokens are posted to: an https URL. Empty means that nothing is posted. Default empty.
	URL string `toml:"url" secret:"url"`
	// Key of the signature (HMAC-SHA256) in the header Furima-Signature, at least 16 characters. It or secret_file is required with url. Default empty.
	Secret string `toml:"secret" secret:"true"`
	// File that holds the key of the signature; blank space at its ends does not count. Default empty.
	SecretFile string `toml:"secret_file"`
	// Dead tokens in one request at most. 0 means 500. Default 0.
	BatchSize int `toml:"batch_size"`
	// How long dead tokens are collected before they are posted; a full batch is posted at once. 0 means "10s". Default 0.
	Interval time.Duration `toml:"interval"`
	// How long one request may take. 0 means "10s". Default 0.
	Timeout time.Duration `toml:"timeout"`
	// Lets the URL point to loopback and private addresses, and be http. Default false.
	AllowPrivate bool `toml:"allow_private"`
	// PEM file of root certificates to trust instead of the system's. Default empty.
	CAFile string `toml:"ca_file"`
}

// Enabled reports whether dead tokens are posted at all.
func (c WebhookConfig) Enabled() bool { return c.URL != "" }

// maxWebhookBatch is as many as a page of feedback may have.
const maxWebhookBatch = maxFeedbackPage

// minSecret is how long the key of a signature must be.
const minSecret = 16

func (c WebhookConfig) withDefaults() WebhookConfig {
	if c.BatchSize == 0 {
		c.BatchSize = 500
	}
	if c.Interval == 0 {
		c.Interval = 10 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

func (c WebhookConfig) validate(fault func(key, problem string)) {
	if !c.Enabled() {
		if c != (WebhookConfig{}) {
			fault("url", "is required when anything else of webhook is set")
		}
		return
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		fault("url", "must be https://host/path")
	case u.Scheme == "http" && !c.AllowPrivate:
		fault("url", "must be https: its answers decide what is reported, and tokens are in it")
	case u.Scheme != "https" && u.Scheme != "http":
		fault("url", "must be https://host/path")
	}
	if _, err := c.secret(); err != nil {
		key := "secret"
		if c.Secret == "" && c.SecretFile != "" {
			key = "secret_file"
		}
		fault(key, err.Error())
	}
	if _, err := rootCAs(c.CAFile); err != nil {
		fault("ca_file", err.Error())
	}
	if c.BatchSize < 0 || c.BatchSize > maxWebhookBatch {
		fault("batch_size", "must be between 0 and 10000")
	}
	if c.Interval < 0 {
		fault("interval", "must not be negative")
	}
	if c.Timeout < 0 {
		fault("timeout", "must not be negative")
	}
}

// secret returns the key of the signature. The error never holds it.
func (c WebhookConfig) secret() (string, error) {
	s := c.Secret
	switch {
	case s != "" && c.SecretFile != "":
		return "", errors.New("and secret_file exclude each other")
	case c.SecretFile != "":
		raw, err := readFile(c.SecretFile)
		if err != nil {
			return "", err
		}
		s = strings.TrimSpace(string(raw))
	case s == "":
		return "", errors.New("or secret_file is required with url")
	}
	if len(s) < minSecret {
		return "", errors.New("must have at least 16 characters")
	}
	return s, nil
}
