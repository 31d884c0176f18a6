package stack

import (
	"context"
	"fmt"

	"bindery/shared/broker"
)

// ConnectClient is Bindery as a client of the company's issuer and of the
// provider "drive".
const ConnectClient = "bindery-connect"

// DriveAccounts are the people of "drive", by the names that they have there.
func DriveAccounts() map[string]map[string]any {
	return map[string]map[string]any{"alice-at-drive": {"sub": "alice-at-drive"}, "bob-at-drive": {"sub": "bob-at-drive"}}
}

// SeedDrive registers the server where everybody of the group staff uses an
// account of their own, and the provider that issues its tokens.
func (d *Deployment) SeedDrive(ctx context.Context, url, issuer string) error {
	env := d.Config.Environment
	server := broker.Server{Environment: env, Name: "drive", State: broker.Active, Owner: "platform", URL: url, Description: "files, each person's own",
		Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}
	if err := d.Registry.PutServer(ctx, server); err != nil {
		return fmt.Errorf("server drive: %w", err)
	}
	if err := d.DB.PutTool(ctx, broker.Tool{Environment: env, Server: "drive", Name: "whoami", State: broker.Active, Owner: "platform",
		Risk: broker.Low, Teams: []string{"platform"}}); err != nil {
		return fmt.Errorf("tool whoami: %w", err)
	}
	if err := d.DB.PutProvider(ctx, broker.Provider{Environment: env, Name: "drive", State: broker.Active, Issuer: issuer,
		Registration: broker.Preregistered, ClientAuth: broker.ClientNone, ClientID: ConnectClient}); err != nil {
		return fmt.Errorf("provider drive: %w", err)
	}
	card := broker.Binding{Environment: env, Server: "drive", Name: "staff-drive", State: broker.Active, Actor: broker.Actor{Group: "staff"},
		Allow: broker.Allow{Tools: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}},
		Mode:  broker.UserDelegated, Source: broker.AuthorizationCode, Owner: "platform", Provider: "drive", Scopes: []string{"files"}}
	if err := d.Registry.Bind(ctx, card); err != nil {
		return fmt.Errorf("binding staff-drive: %w", err)
	}
	return nil
}
