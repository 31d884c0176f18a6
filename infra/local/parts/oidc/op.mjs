// A certified OpenID provider for one machine: the npm oidc-provider, told on
// standard input (JSON) which users, clients and resources it serves. Keys are
// made anew at each start. Its login page takes any password: never expose it.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { createLocalJWKSet, jwtVerify } from 'jose'; // the provider's own
import Provider, { errors } from 'oidc-provider';

const { issuer, port, users, clients, resources, accessTokenTTL, registration } = JSON.parse(await text(process.stdin));

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

const signing = signingKey();

// Who acts for the person of a token that came out of an exchange.
const actors = new WeakMap();

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
  jwks: { keys: [signing] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  conformIdTokenClaims: false, // ID tokens carry the claims themselves
  findAccount: (ctx, subject) => personal(subject) && {
    accountId: subject,
    claims: () => ({ sub: subject, ...personal(subject) }),
  },
  extraTokenClaims: (ctx, token) => (token.accountId
    ? { ...personal(token.accountId), ...(actors.has(token) && { act: { sub: actors.get(token) } }) }
    : undefined),
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

// verified reads a JWT that must be good in every respect, or the grant is not.
async function verified(token, keys, expected) {
  try {
    return (await jwtVerify(token, keys, { requiredClaims: ['sub', 'exp', 'iat', 'jti'], ...expected })).payload;
  } catch (error) {
    throw new errors.InvalidGrant(`a token of the exchange is not accepted: ${error.code}`);
  }
}

const seen = new Set(); // actor tokens, each of which is good once

// exchange is token exchange (RFC 8693): the subject token is an access token of
// this provider; an actor token is a JWT of the client about the actor. What is
// issued names both.
async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  const type = (name) => `urn:ietf:params:oauth:token-type:${name}`;
  if (params.subject_token_type !== type('access_token')) throw new errors.InvalidRequest('subject_token_type');
  const { alg, kty, n, e, kid } = signing;
  const subject = await verified(params.subject_token, createLocalJWKSet({ keys: [{ alg, kty, n, e, kid }] }),
    { issuer, typ: 'at+jwt', algorithms: ['RS256'] });
  if (!personal(subject.sub)) throw new errors.InvalidGrant('the subject is no person');
  const token = new provider.AccessToken({ client, accountId: subject.sub, gty: 'token_exchange' });
  if (params.actor_token !== undefined) {
    if (params.actor_token_type !== type('jwt') || !client.jwks) throw new errors.InvalidRequest('actor_token_type');
    const actor = await verified(params.actor_token, createLocalJWKSet(client.jwks),
      { issuer: client.clientId, audience: issuer, typ: 'JWT', maxTokenAge: 60 });
    if (seen.has(actor.jti) || !clients.some((known) => known.client_id === actor.sub)) throw new errors.InvalidGrant('the actor');
    seen.add(actor.jti);
    actors.set(token, actor.sub);
  }
  const resource = resourceServer(ctx, params.resource);
  token.resourceServer = new provider.ResourceServer(params.resource, resource);
  const may = resource.scope.split(' ');
  token.scope = (params.scope ?? '').split(' ').filter((scope) => may.includes(scope)).join(' ');
  ctx.body = {
    access_token: await token.save(), issued_token_type: type('access_token'),
    token_type: 'Bearer', expires_in: token.expiration, scope: token.scope,
  };
}

provider.registerGrantType('urn:ietf:params:oauth:grant-type:token-exchange', exchange,
  ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'resource', 'audience', 'scope']);

// Every token request counts, by its grant type, whatever becomes of it. What was
// counted is served beside the provider.
const asked = {};
provider.use(async (ctx, next) => {
  if (ctx.path === '/asked') {
    ctx.body = asked;
    return;
  }
  try {
    await next();
  } finally {
    if (ctx.path === '/token') {
      const kind = ctx.oidc?.params?.grant_type ?? '';
      asked[kind] = (asked[kind] ?? 0) + 1;
    }
  }
});

const server = provider.listen(port, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${port}`));
server.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
