package sandbox

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
)

// ChannelPrefix begins the Token of a Delivery to a broadcast channel; its id
// follows.
const ChannelPrefix = "/channels/"

// maxChannels is how many channels an app may have.
const maxChannels = 10_000

// channelStore holds the broadcast channels of all apps.
type channelStore struct {
	mu   sync.Mutex
	apps map[string]map[string]int // storage policies by bundle id and channel id
}

// create makes a channel; ok is false when the app has too many.
func (s *channelStore) create(bundle string, policy int) (id string, ok bool) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends if the system has no randomness
	id = base64.StdEncoding.EncodeToString(b[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.apps[bundle]) >= maxChannels {
		return "", false
	}
	if s.apps == nil {
		s.apps = make(map[string]map[string]int)
	}
	if s.apps[bundle] == nil {
		s.apps[bundle] = make(map[string]int)
	}
	s.apps[bundle][id] = policy
	return id, true
}

func (s *channelStore) policy(bundle, id string) (policy int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	policy, ok = s.apps[bundle][id]
	return policy, ok
}

func (s *channelStore) delete(bundle, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.apps[bundle][id]
	delete(s.apps[bundle], id)
	return ok
}

func (s *channelStore) all(bundle string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.apps[bundle]))
}

// channelConfig is a channel as the management service says and is told.
type channelConfig struct {
	Policy   int    `json:"message-storage-policy"`
	PushType string `json:"push-type"`
}

// manage answers a request to /1/apps/<bundle>/channels or …/all-channels.
func (a *Apple) manage(r *request, bundle, rest string) response {
	if no := a.authorize(r); no != nil {
		return no.response()
	}
	id := r.get("apns-channel-id")
	switch {
	case rest == "all-channels" && r.method == "GET":
		body, _ := json.Marshal(map[string][]string{"channels": append([]string{}, a.channels.all(bundle)...)})
		return response{status: 200, body: body}
	case rest != "channels":
		return (&refusal{status: 404, reason: "BadPath"}).response()
	case r.method == "POST":
		return a.createChannel(r, bundle)
	case r.method != "GET" && r.method != "DELETE":
		return (&refusal{status: 405, reason: "MethodNotAllowed"}).response()
	case id == "":
		return (&refusal{status: 400, reason: "MissingChannelId"}).response()
	}
	if _, err := base64.StdEncoding.DecodeString(id); err != nil {
		return (&refusal{status: 400, reason: "BadChannelId"}).response()
	}
	if r.method == "DELETE" {
		if !a.channels.delete(bundle, id) {
			return (&refusal{status: 400, reason: "ChannelNotRegistered"}).response()
		}
		return response{status: 204}
	}
	policy, ok := a.channels.policy(bundle, id)
	if !ok {
		return (&refusal{status: 400, reason: "ChannelNotRegistered"}).response()
	}
	body, _ := json.Marshal(channelConfig{policy, "LiveActivity"})
	return response{status: 200, body: body}
}

func (a *Apple) createChannel(r *request, bundle string) response {
	var cfg channelConfig
	if json.Unmarshal(r.body, &cfg) != nil || cfg.Policy != 0 && cfg.Policy != 1 {
		return (&refusal{status: 400, reason: "BadRequestPayload"}).response()
	}
	if !strings.EqualFold(cfg.PushType, "LiveActivity") {
		return (&refusal{status: 400, reason: "InvalidPushType"}).response()
	}
	id, ok := a.channels.create(bundle, cfg.Policy)
	if !ok {
		return (&refusal{status: 400, reason: "CannotCreateChannelConfig"}).response()
	}
	return response{status: 201, channel: id}
}

// checkBroadcast goes through a request to /4/broadcasts/apps/<bundle>.
func (a *Apple) checkBroadcast(r *request, bundle string) (Delivery, *refusal) {
	id := r.get("apns-channel-id")
	d := Delivery{
		Token:      ChannelPrefix + id,
		Channel:    id,
		Topic:      bundle,
		PushType:   r.get("apns-push-type"),
		Priority:   r.get("apns-priority"),
		Expiration: r.get("apns-expiration"),
		Payload:    r.body,
	}
	if r.method != "POST" {
		return d, &refusal{status: 405, reason: "MethodNotAllowed"}
	}
	if no := a.authorize(r); no != nil {
		return d, no
	}
	bad := func(reason string) (Delivery, *refusal) { return d, &refusal{status: 400, reason: reason} }
	if id == "" {
		return bad("MissingChannelId")
	}
	if _, err := base64.StdEncoding.DecodeString(id); err != nil {
		return bad("BadChannelId")
	}
	policy, registered := a.channels.policy(bundle, id)
	switch {
	case r.has("apns-topic"):
		return bad("BadRequestParams") // the path says it
	case d.PushType == "":
		return bad("MissingPushType")
	case d.PushType != "liveactivity":
		return bad("InvalidPushType")
	case !isPriority(d.Priority):
		return bad("BadPriority")
	case d.Expiration == "" || !isExpiration(d.Expiration):
		return bad("BadExpirationDate")
	case !registered:
		return bad("ChannelNotRegistered")
	case policy == 0 && d.Expiration != "0":
		return bad("BadExpirationDate")
	case len(r.body) > maxBody:
		return d, &refusal{status: 413, reason: "PayloadTooLarge"}
	case !isObject(r.body):
		return bad("BadRequestPayload")
	}
	return d, nil
}
