package push

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// FCMConfig is one [push.apps.fcm] table: how an app is known to Google.
type FCMConfig struct {
	// Service account (JSON, from the Google Cloud console); its project and token_uri are used. Empty means that this app does not use Google. Default empty.
	CredentialsFile string `toml:"credentials_file"`
	// Base URL of the service: Google's, a stand-in or a proxy; always https. Empty means "https://fcm.googleapis.com". Default empty.
	Endpoint string `toml:"endpoint"`
	// PEM file of root certificates to trust instead of the system's, for endpoint and token_uri. Default empty.
	CAFile string `toml:"ca_file"`
	// Connections to keep to the service. 0 means 4. Default 0.
	Connections int `toml:"connections"`
	// Notifications that may be under way at once over all connections. 0 means 400, which is what Google was seen to allow on 4 connections. Default 0.
	MaxInFlight int `toml:"max_in_flight"`
	// How long one notification may take before it counts as unanswered and is tried again. 0 means "10s". Default 0.
	Timeout time.Duration `toml:"timeout"`
	// Messages a minute that the project's quota allows, for all apps of the project in this process together; sending begins with up to 1000 a second and grows to that rate over a minute, as Google asks. 0 means 600000, Google's default; -1 means no limit. Default 0.
	Quota int `toml:"quota"`
}

// Enabled reports whether the app is known to Google at all.
func (c FCMConfig) Enabled() bool { return c.CredentialsFile != "" }

// WithDefaults gives zero values their meaning.
func (c FCMConfig) WithDefaults() FCMConfig {
	if c.Endpoint == "" {
		c.Endpoint = "https://fcm.googleapis.com"
	}
	if c.Connections == 0 {
		c.Connections = 4
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 400
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Quota == 0 {
		c.Quota = 600_000
	}
	return c
}

func (c FCMConfig) validate(fault func(key, problem string)) {
	if !c.Enabled() {
		if c != (FCMConfig{}) {
			fault("credentials_file", "is required when anything else of fcm is set")
		}
		return
	}
	if _, err := c.ServiceAccount(); err != nil {
		fault("credentials_file", err.Error())
	}
	if _, err := c.RootCAs(); err != nil {
		fault("ca_file", err.Error())
	}
	if c.Endpoint != "" && !isOrigin(c.Endpoint) {
		fault("endpoint", "must be https://host or https://host:port")
	}
	if c.Connections < 0 || c.Connections > 64 {
		fault("connections", "must be between 0 and 64")
	}
	if c.MaxInFlight < 0 {
		fault("max_in_flight", "must not be negative")
	}
	if c.Timeout < 0 {
		fault("timeout", "must not be negative")
	}
	if c.Quota < -1 {
		fault("quota", "must be -1, 0 or more")
	}
}

// isOrigin reports whether s is https://host or https://host:port and nothing
// else.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}

// ServiceAccount is what a credentials file of Google says.
type ServiceAccount struct {
	ProjectID    string
	ClientEmail  string
	PrivateKeyID string
	TokenURI     string // where to get access tokens
	// JSON is the file, checked, for a library of Google's formats.
	JSON []byte
}

// defaultTokenURI is for files that name none.
const defaultTokenURI = "https://oauth2.googleapis.com/token"

// ServiceAccount reads the credentials file. The error names the file and never
// what is in it.
func (c FCMConfig) ServiceAccount() (ServiceAccount, error) {
	raw, err := readFile(c.CredentialsFile)
	if err != nil {
		return ServiceAccount{}, err
	}
	var f struct {
		Type         string `json:"type"`
		ProjectID    string `json:"project_id"`
		ClientEmail  string `json:"client_email"`
		PrivateKeyID string `json:"private_key_id"`
		PrivateKey   string `json:"private_key"`
		TokenURI     string `json:"token_uri"`
	}
	if json.Unmarshal(raw, &f) != nil { // its error would quote the file
		return ServiceAccount{}, fmt.Errorf("%s is not the JSON file of a service account", c.CredentialsFile)
	}
	if f.Type != "service_account" {
		return ServiceAccount{}, fmt.Errorf(`%s is not of a service account: its type must be "service_account"`, c.CredentialsFile)
	}
	for _, r := range []struct{ name, v string }{{"project_id", f.ProjectID}, {"client_email", f.ClientEmail}, {"private_key", f.PrivateKey}} {
		if r.v == "" {
			return ServiceAccount{}, fmt.Errorf("%s has no %s", c.CredentialsFile, r.name)
		}
	}
	if !isProjectID(f.ProjectID) {
		return ServiceAccount{}, fmt.Errorf("%s has a project_id that is none", c.CredentialsFile)
	}
	if err := checkRSAKey(f.PrivateKey); err != nil {
		return ServiceAccount{}, fmt.Errorf("%s: private_key %w", c.CredentialsFile, err)
	}
	if f.TokenURI == "" {
		f.TokenURI = defaultTokenURI
	}
	if !isTokenURI(f.TokenURI) {
		return ServiceAccount{}, fmt.Errorf("%s: token_uri must be an https URL", c.CredentialsFile)
	}
	return ServiceAccount{ProjectID: f.ProjectID, ClientEmail: f.ClientEmail, PrivateKeyID: f.PrivateKeyID, TokenURI: f.TokenURI, JSON: raw}, nil
}

// isProjectID reports whether s can be part of a path as it is. Old ids have a
// domain and a colon in them.
func isProjectID(s string) bool {
	return len(s) <= 128 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.:") == "" && strings.Trim(s, ".") != ""
}

func checkRSAKey(text string) error {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return errors.New("is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return errors.New("holds no private key")
		}
	}
	if _, ok := parsed.(*rsa.PrivateKey); !ok {
		return errors.New("holds no RSA key, which is what Google issues")
	}
	return nil
}

// isTokenURI reports whether an access token may be asked for at s: over https,
// or without it from this very machine, where a stand-in listens.
func isTokenURI(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	if u.Scheme == "http" {
		addr, err := netip.ParseAddr(u.Hostname())
		return u.Hostname() == "localhost" || err == nil && addr.Unmap().IsLoopback()
	}
	return u.Scheme == "https"
}

// RootCAs reads the roots to trust; nil means the system's.
func (c FCMConfig) RootCAs() (*x509.CertPool, error) {
	return APNSConfig{CAFile: c.CAFile}.RootCAs()
}
