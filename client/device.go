package client

import (
	"context"
	"fmt"
	"net/http"
)

// Device is a phone that notifications go to.
type Device struct {
	ID        string   `json:"id" doc:"The id that the app gave."`
	Platform  Platform `json:"platform" enum:"apns,fcm,webpush" doc:"The service behind the token."`
	UpdatedAt Time     `json:"updated_at" doc:"When the app registered it last."`
}

// DeviceRegistration is what an app tells about its phone.
type DeviceRegistration struct {
	Platform Platform `json:"platform" enum:"apns,fcm,webpush" doc:"The service behind the token."`
	Locale   string   `json:"locale,omitempty" enum:"ja,en" doc:"Language of notifications on this device. Default: the user's."`
	Token    string   `json:"token" minLength:"1" maxLength:"4096" writeOnly:"true" doc:"Device token from the platform. One belongs to one user: the last to register it."`
}

// PutDevice registers a device under an id of the app's choice (1 to 64 letters, digits, ".", "_", "-"),
// or gives it a new token.
func (c *Client) PutDevice(ctx context.Context, id string, d DeviceRegistration) (Device, error) {
	var out Device
	if err := c.do(ctx, call{method: http.MethodPut, path: "/v1/me/devices/" + segment(id), json: d}, &out); err != nil {
		return Device{}, fmt.Errorf("put device: %w", err)
	}
	return out, nil
}

// DeleteDevice ends notifications to a device. It is no error if there is none.
func (c *Client) DeleteDevice(ctx context.Context, id string) error {
	if err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/me/devices/" + segment(id)}, nil); err != nil {
		return fmt.Errorf("delete device: %w", err)
	}
	return nil
}
