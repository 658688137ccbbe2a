package push

import "strings"

// An audience is a list of devices that the provider keeps. It takes the place
// of a token in a Message, and is told from one by its prefix.
const (
	TopicPrefix     = "/topics/"     // FCM: a topic
	ConditionPrefix = "/conditions/" // FCM: a condition over topics
	ChannelPrefix   = "/channels/"   // APNs: a broadcast channel
)

// maxAudienceBytes bounds the name of a topic, a condition or a channel.
const maxAudienceBytes = 1024

// IsAudience reports whether the token of a Message is an audience.
func IsAudience(token string) bool { return strings.HasPrefix(token, "/") }

// audience is the audience that a notification names, with the field that does.
type audience struct{ pointer, prefix, name string }

// audiences returns what a notification names; more than one is a fault.
func audiences(n *Notification) []audience {
	var found []audience
	add := func(pointer, prefix, name string) {
		if name != "" {
			found = append(found, audience{pointer, prefix, name})
		}
	}
	if n.FCM != nil && n.Platform == FCM {
		add("/fcm/topic", TopicPrefix, n.FCM.Topic)
		add("/fcm/condition", ConditionPrefix, n.FCM.Condition)
	}
	if n.APNS != nil && n.Platform == APNS {
		add("/apns/channel_id", ChannelPrefix, n.APNS.ChannelID)
	}
	return found
}

// addressees returns who a checked notification goes to: its tokens, or its one
// audience.
func addressees(n *Notification) []string {
	if len(n.Tokens) > 0 {
		return n.Tokens
	}
	a := audiences(n)[0]
	return []string{a.prefix + a.name}
}

// checkAudience checks that a notification goes to tokens or to one audience.
func checkAudience(n *Notification, fault func(pointer, message string)) {
	found := audiences(n)
	if len(found) == 0 {
		if len(n.Tokens) == 0 {
			fault("/tokens", "must not be empty")
		}
		return
	}
	if len(n.Tokens) > 0 {
		fault(found[0].pointer, "excludes tokens: make two notifications")
	}
	for _, a := range found[1:] {
		fault(a.pointer, "excludes "+strings.TrimPrefix(strings.ReplaceAll(found[0].pointer, "/", "."), "."))
	}
	for _, a := range found {
		if len(a.name) > maxAudienceBytes || !isPrintable(a.name) {
			fault(a.pointer, "must be at most 1024 printable ASCII characters")
		}
	}
}
