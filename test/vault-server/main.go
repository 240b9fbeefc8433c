// Command vault-server is a HashiCorp Vault for the tests, made of Vault's own packages: the core, its
// HTTP interface, and of the many plugins only those that pgwarden speaks to. Its command line is a
// part of the real one's, so that a `vault` or `bao` binary can take its place:
//
//	vault-server server -dev -dev-root-token-id=TOKEN -dev-listen-address=HOST:PORT
//	vault-server server -config=FILE
//
// Vault's module replaces its own sdk by a folder, and a module that depends on it gets the released one
// instead. Vault 1.13.1 (MPL 2.0) works with that; with 1.13.3 and 1.14 it does not compile, or panics.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/hashicorp/go-hclog"
	credJWT "github.com/hashicorp/vault-plugin-auth-jwt"
	credKube "github.com/hashicorp/vault-plugin-auth-kubernetes"
	logicalKV "github.com/hashicorp/vault-plugin-secrets-kv"
	credAppRole "github.com/hashicorp/vault/builtin/credential/approle"
	credCert "github.com/hashicorp/vault/builtin/credential/cert"
	logicalDatabase "github.com/hashicorp/vault/builtin/logical/database"
	"github.com/hashicorp/vault/command/server"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/plugins/database/postgresql"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/mitchellh/cli"
)

var storages = map[string]physical.Factory{
	"file":  file.NewFileBackend,
	"inmem": inmem.NewInmem,
}

var engines = map[string]logical.Factory{
	"database": logicalDatabase.Factory,
	"kv":       logicalKV.Factory,
}

var logins = map[string]logical.Factory{
	"approle":    credAppRole.Factory,
	"cert":       credCert.Factory,
	"jwt":        credJWT.Factory,
	"kubernetes": credKube.Factory,
	"oidc":       credJWT.Factory,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vault-server:", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	if len(words) == 0 || words[0] != "server" {
		return errors.New("the only command is: server")
	}
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	dev := flags.Bool("dev", false, "in memory, initialized, unsealed")
	rootToken := flags.String("dev-root-token-id", "", "the root token, with -dev")
	address := flags.String("dev-listen-address", "127.0.0.1:8200", "with -dev")
	path := flags.String("config", "", "a configuration, without -dev")
	if err := flags.Parse(words[1:]); err != nil {
		return err
	}
	config, err := configuration(*dev, *address, *path)
	if err != nil {
		return err
	}
	core, err := newCore(config, *rootToken)
	if err != nil {
		return err
	}
	if *dev {
		if err := initializeDev(core, *rootToken); err != nil {
			return err
		}
	}
	for _, listener := range config.Listeners {
		if err := serve(core, listener); err != nil {
			return err
		}
	}
	fmt.Println("==> Vault server started!")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	return core.Shutdown()
}

// configuration is read, and in dev mode made up, by Vault's own code.
func configuration(dev bool, address, path string) (*server.Config, error) {
	if !dev {
		if path == "" {
			return nil, errors.New("without -dev there must be a -config=FILE")
		}
		return server.LoadConfig(path)
	}
	config, err := server.DevConfig("inmem")
	if err != nil {
		return nil, err
	}
	config.Listeners[0].Address = address
	return config, nil
}

func newCore(config *server.Config, rootToken string) (*vault.Core, error) {
	if config.Storage == nil {
		return nil, errors.New("the configuration names no storage")
	}
	makeStorage, ok := storages[config.Storage.Type]
	if !ok {
		return nil, fmt.Errorf("no such storage: %s", config.Storage.Type)
	}
	level := hclog.LevelFromString(config.LogLevel)
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: os.Stderr, Level: level})
	storage, err := makeStorage(config.Storage.Config, logger.Named("storage"))
	if err != nil {
		return nil, err
	}
	return vault.NewCore(&vault.CoreConfig{
		RawConfig:          config,
		Physical:           storage,
		StorageType:        config.Storage.Type,
		RedirectAddr:       config.Storage.RedirectAddr,
		LogicalBackends:    engines,
		CredentialBackends: logins,
		BuiltinRegistry:    registry{},
		Logger:             logger,
		DevToken:           rootToken,
		DisableMlock:       config.DisableMlock,
		DisableCache:       config.DisableCache,
		MaxLeaseTTL:        config.MaxLeaseTTL,
		DefaultLeaseTTL:    config.DefaultLeaseTTL,
		EnableRaw:          config.EnableRawEndpoint,
	})
}

func serve(core *vault.Core, config *configutil.Listener) error {
	listener, _, _, err := server.NewListener(config, os.Stderr, cli.NewMockUi())
	if err != nil {
		return err
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: config})
	go http.Serve(listener, handler)
	return nil
}

// initializeDev does what a first operator would: one key share, the root token as it was asked for,
// and a KV store of version 2 at secret/.
func initializeDev(core *vault.Core, rootToken string) error {
	ctx := namespace.RootContext(context.Background())
	shares := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1, StoredShares: 1}
	made, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: shares})
	if err != nil {
		return err
	}
	if _, err := core.Unseal(made.SecretShares[0]); err != nil {
		return err
	}
	if rootToken != "" {
		err := update(core, made.RootToken, "auth/token/create", map[string]any{
			"id": rootToken, "policies": []string{"root"}, "no_parent": true, "no_default_policy": true,
		})
		if err != nil {
			return err
		}
		if err := update(core, made.RootToken, "auth/token/revoke-self", nil); err != nil {
			return err
		}
		made.RootToken = rootToken
	}
	fmt.Println("Root Token:", made.RootToken)
	return update(core, made.RootToken, "sys/mounts/secret", map[string]any{
		"type": "kv", "options": map[string]string{"version": "2"},
	})
}

func update(core *vault.Core, token, path string, data map[string]any) error {
	answer, err := core.HandleRequest(namespace.RootContext(context.Background()), &logical.Request{
		Operation: logical.UpdateOperation, ClientToken: token, Path: path, Data: data,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if answer.IsError() {
		return fmt.Errorf("%s: %w", path, answer.Error())
	}
	return nil
}

// registry tells the core which plugins are compiled in.
type registry struct{}

func (registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	switch kind {
	case consts.PluginTypeDatabase:
		return postgresql.New, name == "postgresql-database-plugin"
	case consts.PluginTypeSecrets:
		factory, ok := engines[name]
		return func() (any, error) { return factory, nil }, ok
	case consts.PluginTypeCredential:
		factory, ok := logins[name]
		return func() (any, error) { return factory, nil }, ok
	default:
		return nil, false
	}
}

func (r registry) Contains(name string, kind consts.PluginType) bool {
	_, ok := r.Get(name, kind)
	return ok
}

func (registry) Keys(kind consts.PluginType) []string {
	switch kind {
	case consts.PluginTypeDatabase:
		return []string{"postgresql-database-plugin"}
	case consts.PluginTypeSecrets:
		return slices.Collect(maps.Keys(engines))
	case consts.PluginTypeCredential:
		return slices.Collect(maps.Keys(logins))
	default:
		return nil
	}
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	if r.Contains(name, kind) {
		return consts.Supported, true
	}
	return consts.Unknown, false
}

func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
