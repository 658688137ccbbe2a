package api

import (
	"context"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

type putDeviceIn struct {
	ID   string `path:"device_id" maxLength:"64" doc:"Id of the installation, of the app's choice: letters, digits, dot, underscore, hyphen."`
	Body client.DeviceRegistration
}

type deviceOut struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Device
}

func (a *API) putDevice(ctx context.Context, in *putDeviceIn) (*deviceOut, error) {
	who := callerOf(ctx)
	d, err := a.store.RegisterDevice(ctx, market.DeviceRegistration{
		UserID: who.user, Name: in.ID, Platform: string(in.Body.Platform), Token: in.Body.Token, Locale: in.Body.Locale, Session: who.session,
	})
	if err != nil {
		return nil, err
	}
	return &deviceOut{CacheControl: noStore, Body: client.Device{
		ID: d.Name, Platform: client.Platform(d.Platform), UpdatedAt: client.TimeOf(d.RegisteredAt),
	}}, nil
}

type deleteDeviceIn struct {
	ID string `path:"device_id" maxLength:"64" doc:"Id of the installation."`
}

func (a *API) deleteDevice(ctx context.Context, in *deleteDeviceIn) (*struct{}, error) {
	return nil, a.store.ForgetDevice(ctx, callerOf(ctx).user, in.ID)
}
