package apns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/furima/furima/internal/push"
)

// StoragePolicy says what Apple keeps of what is sent to a channel for devices
// that are offline.
type StoragePolicy int

// The policies, as Apple numbers them.
const (
	NoStorage  StoragePolicy = 0 // nothing; what is sent must not have a ttl
	MostRecent StoragePolicy = 1 // the newest message until its ttl ends
)

// Channel is a broadcast channel, which devices subscribe to by its id.
type Channel struct {
	ID       string
	Policy   StoragePolicy
	PushType string // "LiveActivity", the only one that there is
}

// ChannelError is a refusal of Apple's.
type ChannelError struct {
	Status int
	Reason string // Apple's word, empty if it gave none
}

// Error implements error.
func (e *ChannelError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("the provider answered %d", e.Status)
	}
	return fmt.Sprintf("the provider answered %d %s", e.Status, e.Reason)
}

// Channels manages the broadcast channels of an app, of which there may be
// 10,000. It is for the command line and for tests: every call is a request
// of its own to another host than notifications go to, with a provider token
// that is not shared with senders. It may be used by several goroutines at once.
type Channels struct {
	base   string // URL of the app's part of the service
	tokens *tokenSource
	client *http.Client
}

// OpenChannels reads the app's credentials and uses no network. Close it.
func OpenChannels(app push.AppConfig, o Options) (*Channels, error) {
	cfg := app.APNS
	switch {
	case !cfg.Enabled():
		return nil, fmt.Errorf("open the channels of app %s: it has no credentials for Apple", app.Name)
	case cfg.Topic == "":
		return nil, fmt.Errorf("open the channels of app %s: it has no topic", app.Name)
	}
	cfg = cfg.WithDefaults()
	tlsConfig, tokens, err := NewProvider(o).credentials(cfg)
	if err != nil {
		return nil, fmt.Errorf("open the channels of app %s: %w", app.Name, err)
	}
	return &Channels{
		base:   strings.TrimSuffix(cfg.ChannelsEndpoint, "/") + "/1/apps/" + url.PathEscape(cfg.Topic),
		tokens: tokens,
		client: &http.Client{
			Transport: &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true},
			Timeout:   cfg.Timeout,
			// Apple does not redirect, and a token must not go elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close closes idle connections.
func (c *Channels) Close() error {
	c.client.CloseIdleConnections()
	return nil
}

// Create makes a channel and returns its id.
func (c *Channels) Create(ctx context.Context, policy StoragePolicy) (string, error) {
	body, err := json.Marshal(channelConfig{Policy: policy, PushType: liveActivityChannel})
	if err != nil {
		return "", fmt.Errorf("create a channel: %w", err)
	}
	header, _, err := c.do(ctx, http.MethodPost, "/channels", "", body)
	if err != nil {
		return "", fmt.Errorf("create a channel: %w", err)
	}
	id := header.Get(headerChannel)
	if id == "" {
		return "", errors.New("create a channel: the answer has no channel id")
	}
	return id, nil
}

// Get returns a channel.
func (c *Channels) Get(ctx context.Context, id string) (Channel, error) {
	_, body, err := c.do(ctx, http.MethodGet, "/channels", id, nil)
	if err != nil {
		return Channel{}, fmt.Errorf("read a channel: %w", err)
	}
	var cfg channelConfig
	if err := json.Unmarshal(body, &cfg); err != nil {
		return Channel{}, fmt.Errorf("read a channel: the answer is not what is expected: %w", err)
	}
	return Channel{ID: id, Policy: cfg.Policy, PushType: cfg.PushType}, nil
}

// List returns the ids of all channels of the app.
func (c *Channels) List(ctx context.Context) ([]string, error) {
	_, body, err := c.do(ctx, http.MethodGet, "/all-channels", "", nil)
	if err != nil {
		return nil, fmt.Errorf("list channels: %w", err)
	}
	var all struct {
		Channels []string `json:"channels"`
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("list channels: the answer is not what is expected: %w", err)
	}
	return all.Channels, nil
}

// Delete deletes a channel. What is sent to it later is refused.
func (c *Channels) Delete(ctx context.Context, id string) error {
	if _, _, err := c.do(ctx, http.MethodDelete, "/channels", id, nil); err != nil {
		return fmt.Errorf("delete a channel: %w", err)
	}
	return nil
}

const (
	liveActivityChannel = "LiveActivity"
	// maxChannelsBytes is more than the ids of 10,000 channels take.
	maxChannelsBytes = 4 << 20
)

// channelConfig is what Apple says of a channel, and is told.
type channelConfig struct {
	Policy   StoragePolicy `json:"message-storage-policy"`
	PushType string        `json:"push-type"`
}

// do sends a request. An empty channel is left out.
func (c *Channels) do(ctx context.Context, method, path, channel string, body []byte) (http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if c.tokens != nil {
		authorization, err := c.tokens.authorization()
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set("authorization", authorization)
	}
	req.Header.Set(headerRequest, uuid.NewString())
	if channel != "" {
		req.Header.Set(headerChannel, channel)
	}
	if len(body) > 0 {
		req.Header.Set("content-type", "application/json")
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxChannelsBytes))
	if err != nil {
		return nil, nil, err
	}
	if res.StatusCode/100 != 2 {
		var why struct {
			Reason string `json:"reason"`
		}
		_ = json.Unmarshal(answer, &why) // a proxy in between may answer anything
		if len(why.Reason) > 64 {
			why.Reason = ""
		}
		return nil, nil, &ChannelError{Status: res.StatusCode, Reason: why.Reason}
	}
	return res.Header, answer, nil
}
