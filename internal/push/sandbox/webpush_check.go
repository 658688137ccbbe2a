package sandbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxWebPushBody is what a push service must take (RFC 8030, section 7.2),
	// and what those of browsers take.
	maxWebPushBody = 4096
	maxTTL         = 28 * 24 * 60 * 60
)

// webPushPath begins the path of a subscription.
const webPushPath = "/push/"

// browser is what the page of a subscription keeps to itself.
type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

// NewSubscription makes a subscription with the key of KeyFile and returns its
// token: the JSON text of a PushSubscription.
func (w *WebPush) NewSubscription() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: the program ends if the system has no randomness
	phone := hex.EncodeToString(random[:])
	phone += w.mark(phone)
	b, err := w.browser(phone)
	if err != nil {
		panic(err) // a phone of our own making has a key
	}
	var s struct {
		Endpoint       string    `json:"endpoint"`
		ExpirationTime *struct{} `json:"expirationTime"` // null, as browsers have it
		Keys           struct {
			P256DH string `json:"p256dh"`
			Auth   string `json:"auth"`
		} `json:"keys"`
	}
	s.Endpoint = w.URL() + webPushPath + phone
	s.Keys.P256DH = base64.RawURLEncoding.EncodeToString(b.key.PublicKey().Bytes())
	s.Keys.Auth = base64.RawURLEncoding.EncodeToString(b.auth)
	token, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(token)
}

// PhoneOf returns what Phones knows a subscription by: the last part of its
// endpoint. It is empty if the token is none of a stand-in.
func PhoneOf(token string) string {
	var s struct {
		Endpoint string `json:"endpoint"`
	}
	_ = json.Unmarshal([]byte(token), &s)
	_, phone, _ := strings.Cut(s.Endpoint, webPushPath)
	return phone
}

// mark tells phones that this stand-in has made from others.
func (w *WebPush) mark(phone string) string {
	mac := hmac.New(sha256.New, w.secret)
	mac.Write([]byte(phone))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// browser returns the keys of a phone, or an error if it is none of ours.
func (w *WebPush) browser(phone string) (browser, error) {
	if len(phone) != 48 || !hmac.Equal([]byte(phone[32:]), []byte(w.mark(phone[:32]))) {
		return browser{}, errors.New("no such subscription")
	}
	secrets, err := hkdf.Key(sha256.New, w.secret, []byte(phone), "subscription", 32+16)
	if err != nil {
		return browser{}, err
	}
	return newBrowser(secrets)
}

// newBrowser makes a browser of a private key and its authentication secret.
func newBrowser(secrets []byte) (browser, error) {
	key, err := ecdh.P256().NewPrivateKey(secrets[:32])
	return browser{key: key, auth: secrets[32:]}, err
}

// check goes through a request as a push service does, and then opens the
// message as the browser does. The delivery is complete when there is no
// refusal.
func (w *WebPush) check(r *http.Request, body []byte) (Delivery, *refusal) {
	phone, isPush := strings.CutPrefix(r.URL.Path, webPushPath)
	h := r.Header
	d := Delivery{
		Token: phone, APNSID: newMessageID(), Topic: w.URL(), PushType: "webpush",
		Priority: h.Get("Urgency"), Expiration: h.Get("TTL"), CollapseID: h.Get("Topic"),
	}
	switch {
	case !isPush:
		return d, &refusal{status: http.StatusNotFound, reason: "path"}
	case r.Method != http.MethodPost:
		return d, &refusal{status: http.StatusMethodNotAllowed, reason: "method"}
	}
	b, err := w.browser(phone)
	if err != nil {
		return d, &refusal{status: http.StatusNotFound, reason: "subscription"}
	}
	if _, gone := w.o.Phones.uninstalled(phone); gone {
		return d, &refusal{status: http.StatusGone, reason: "subscription"}
	}
	if no := w.checkVAPID(h.Get("Authorization")); no != nil {
		return d, no
	}
	if what := wrongHeader(h); what != "" {
		return d, &refusal{status: http.StatusBadRequest, reason: what}
	}
	if len(body) > maxWebPushBody {
		return d, &refusal{status: http.StatusRequestEntityTooLarge, reason: "body"}
	}
	plain, err := b.open(body)
	if err != nil {
		// A push service could not know. The browser would throw it away.
		w.o.Logger.Warn("a message cannot be opened", "err", err)
		return d, &refusal{status: http.StatusBadRequest, reason: "encryption"}
	}
	d.show(plain)
	return d, nil
}

// wrongHeader returns which header is wrong, or "".
func wrongHeader(h http.Header) string {
	ttl, err := strconv.Atoi(h.Get("TTL"))
	switch {
	case len(h["Ttl"]) != 1 || err != nil || ttl < 0 || ttl > maxTTL:
		return "ttl"
	case h.Get("Content-Encoding") != "aes128gcm":
		return "content-encoding"
	case len(h["Topic"]) > 1 || len(h.Get("Topic")) > 32 || strings.Trim(h.Get("Topic"), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return "topic"
	}
	switch h.Get("Urgency") {
	case "", "very-low", "low", "normal", "high":
		return ""
	}
	return "urgency"
}

// checkVAPID checks the Authorization header: RFC 8292.
func (w *WebPush) checkVAPID(header string) *refusal {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "vapid") {
		return &refusal{status: http.StatusUnauthorized, reason: "vapid"}
	}
	var token, key string
	for parameter := range strings.SplitSeq(rest, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(parameter), "="); name {
		case "t":
			token = value
		case "k":
			key = value
		}
	}
	public, err := w.vapid.PublicKey.ECDH()
	if err != nil || key != base64.RawURLEncoding.EncodeToString(public.Bytes()) {
		return &refusal{status: http.StatusForbidden, reason: "key"}
	}
	var claims struct {
		jwt.RegisteredClaims
	}
	now := w.o.Now()
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(w.o.Now),
		jwt.WithAudience(w.URL()), jwt.WithExpirationRequired())
	_, err = parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return &w.vapid.PublicKey, nil })
	switch {
	case err != nil:
		return &refusal{status: http.StatusForbidden, reason: "token"}
	case claims.ExpiresAt.After(now.Add(24 * time.Hour)):
		return &refusal{status: http.StatusForbidden, reason: "exp"}
	case !strings.HasPrefix(claims.Subject, "mailto:") && !strings.HasPrefix(claims.Subject, "https://"):
		return &refusal{status: http.StatusForbidden, reason: "sub"}
	}
	return nil
}

// open decrypts a message: RFC 8291 on top of RFC 8188, in one record.
func (b browser) open(body []byte) ([]byte, error) {
	if len(body) < 21 || len(body) < 21+int(body[20]) {
		return nil, errors.New("the body has no header")
	}
	salt, size, keyID, sealed := body[:16], binary.BigEndian.Uint32(body[16:]), body[21:21+int(body[20])], body[21+int(body[20]):]
	if int64(len(sealed)) > int64(size) {
		return nil, fmt.Errorf("the message has %d bytes, more than a record of %d", len(sealed), size)
	}
	sender, err := ecdh.P256().NewPublicKey(keyID)
	if err != nil {
		return nil, err
	}
	shared, err := b.key.ECDH(sender)
	if err != nil {
		return nil, err
	}
	info := append([]byte("WebPush: info\x00"), b.key.PublicKey().Bytes()...)
	ikm, err := hkdf.Key(sha256.New, shared, b.auth, string(append(info, keyID...)), 32)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	padded, err := aead.Open(nil, nonce, sealed, nil)
	if err != nil {
		return nil, err
	}
	plain := strings.TrimRight(string(padded), "\x00")
	if !strings.HasSuffix(plain, "\x02") {
		return nil, errors.New("the record is not marked as the last")
	}
	return []byte(strings.TrimSuffix(plain, "\x02")), nil
}

// show sets the payload and what is shown of it.
func (d *Delivery) show(plain []byte) {
	d.Payload = plain
	if !json.Valid(plain) {
		d.Payload, _ = json.Marshal(string(plain)) // a string always encodes
	}
	var m struct {
		Title string `json:"title"`
		Body  string `json:"body"`
		Badge int    `json:"badge"`
	}
	_ = json.Unmarshal(plain, &m) // a message of another form shows nothing
	d.Title, d.Body, d.Badge = m.Title, m.Body, m.Badge
}
