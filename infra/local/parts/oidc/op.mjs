// A certified OpenID provider for one machine: the npm oidc-provider, told on
// standard input (JSON) which users, clients and resources it serves. Keys are
// made anew at each start. Its login page takes any password: never expose it.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import Provider, { errors } from 'oidc-provider';

const { issuer, port, users, clients, resources, accessTokenTTL, registration } = JSON.parse(await text(process.stdin));

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

// The claims about a person that go into ID tokens and access tokens alike.
function personal(subject) {
  const user = users.find((known) => known.sub === subject);
  return user && { email: user.email, email_verified: user.email_verified, groups: user.groups };
}

function resourceServer(ctx, indicator) {
  const resource = resources.find((known) => known.audience === indicator);
  if (!resource) throw new errors.InvalidTarget();
  return {
    audience: resource.audience,
    scope: resource.scope,
    accessTokenTTL,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [signingKey()] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  conformIdTokenClaims: false, // ID tokens carry the claims themselves
  findAccount: (ctx, subject) => personal(subject) && {
    accountId: subject,
    claims: () => ({ sub: subject, ...personal(subject) }),
  },
  extraTokenClaims: (ctx, token) => (token.accountId ? personal(token.accountId) : undefined),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: accessTokenTTL, ClientCredentials: accessTokenTTL, IdToken: 600, RefreshToken: 86400, Grant: 86400, Session: 86400, Interaction: 600 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: registration },
    registrationManagement: { enabled: registration },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: resourceServer,
      useGrantedResource: () => true,
    },
  },
});

const server = provider.listen(port, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${port}`));
server.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
