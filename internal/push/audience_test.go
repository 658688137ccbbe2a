package push

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAudience(t *testing.T) {
	cases := []struct {
		name   string
		n      Notification
		faults []string
		to     []string
	}{
		{"tokens", Notification{Platform: APNS, Tokens: []string{"a", "b"}}, nil, []string{"a", "b"}},
		{"nobody", Notification{Platform: APNS}, []string{"/tokens"}, nil},
		{"topic", Notification{Platform: FCM, FCM: &FCMOverride{Topic: "news"}}, nil, []string{"/topics/news"}},
		{"condition", Notification{Platform: FCM, FCM: &FCMOverride{Condition: "'a' in topics"}}, nil, []string{"/conditions/'a' in topics"}},
		{"channel", Notification{Platform: APNS, APNS: &APNSOverride{ChannelID: "dHN0"}}, nil, []string{"/channels/dHN0"}},
		{"both", Notification{Platform: FCM, FCM: &FCMOverride{Topic: "a", Condition: "b"}}, []string{"/fcm/condition"}, nil},
		{"tokens too", Notification{Platform: FCM, Tokens: []string{"a"}, FCM: &FCMOverride{Topic: "a"}}, []string{"/fcm/topic"}, nil},
		{"other platform's", Notification{Platform: APNS, FCM: &FCMOverride{Topic: "a"}}, []string{"/tokens"}, nil},
		{"control character", Notification{Platform: FCM, FCM: &FCMOverride{Topic: "a\nb"}}, []string{"/fcm/topic"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var faults []string
			checkAudience(&c.n, func(pointer, _ string) { faults = append(faults, pointer) })
			if diff := cmp.Diff(c.faults, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if faults == nil {
				if diff := cmp.Diff(c.to, addressees(&c.n)); diff != "" {
					t.Errorf("addressees (-want +got):\n%s", diff)
				}
			}
		})
	}
	if problem := tokenProblem("/topics/news"); problem == "" {
		t.Error("a token may be mistaken for an audience")
	}
}
