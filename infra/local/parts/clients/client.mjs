// The official TypeScript clients at MCP servers. Standard input says what to
// do, as a JSON list of {url, token, sdk: 1|2, mode, browser, steps: [name, ...]}; each
// entry is one client. Printed is, as one line of JSON, what each of them saw.
import { text } from 'node:stream/consumers';

// One generation's modules, each with its way to name a message.
const sdks = {
  1: async () => {
    const types = await import('@modelcontextprotocol/sdk/types.js');
    return {
      ...(await import('@modelcontextprotocol/sdk/client/index.js')),
      ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
      named: (schema) => types[schema],
      options: (more) => [undefined, more],
    };
  },
  2: async () => ({ ...(await import('@modelcontextprotocol/client')), named: (schema, method) => method, options: (more) => [more] }),
};

// signal is a promise to be kept from outside.
function signal() {
  let given;
  const promise = new Promise((resolve) => { given = resolve; });
  return { promise, given };
}

// watching is fetch, with each exchange and receipt written down.
function watching(saw, streamOpen) {
  return async (input, init = {}) => {
    const response = await fetch(input, init);
    const method = init.method ?? 'GET';
    if (method === 'GET' && saw.at === 'terminate') return response; // the stream of a dead session, asked for until the client is closed
    const message = init.body ? JSON.parse(init.body).method ?? 'answer' : '-';
    const resumed = new Headers(init.headers).has('last-event-id') ? 'resumed ' : '';
    saw.http.push(`${method} ${message} ${resumed}${response.status} ${(response.headers.get('content-type') ?? '').split(';')[0]}`);
    saw.receipts.push(response.headers.get('bindery-receipt'));
    if (method === 'GET' && response.ok) streamOpen.given();
    return response;
  };
}

// answering makes the client answer what servers ask, and notice what they tell.
function answering(client, { named }, saw, changed, open) {
  client.setRequestHandler(named('CreateMessageRequestSchema', 'sampling/createMessage'), ({ params }) => ({
    role: 'assistant', model: 'none', content: { type: 'text', text: `to "${params.messages[0].content.text}": yes` },
  }));
  const answer = (name, { type }) => [name, type === 'boolean' ? true : `my ${name}`];
  client.setRequestHandler(named('ElicitRequestSchema', 'elicitation/create'), async ({ params }) => {
    if (params.mode === 'url') {
      await open(params.url);
      return { action: 'accept' };
    }
    return { action: 'accept', content: Object.fromEntries(Object.entries(params.requestedSchema.properties).map(([name, schema]) => answer(name, schema))) };
  });
  client.setRequestHandler(named('ListRootsRequestSchema', 'roots/list'), () => ({ roots: [{ uri: 'file:///work', name: 'work' }] }));
  client.setNotificationHandler(named('ToolListChangedNotificationSchema', 'notifications/tools/list_changed'), changed.given);
  client.setNotificationHandler(named('LoggingMessageNotificationSchema', 'notifications/message'), ({ params }) => { saw.log.push(params.data); });
}

// The steps, each giving what the client saw.
function stepsOf({ client, transport, url, token, saw, options, streamOpen, changed, open }) {
  const tool = async (name, args = {}, more = {}) => {
    try {
      const { isError = false, content } = await client.callTool({ name, arguments: args }, ...options(more));
      return { isError, content };
    } catch ({ code, message, data }) {
      return { code, message, data };
    }
  };
  const lasting = (names) => names.filter((name) => !name.startsWith('__')); // the server's own tests add such ones
  return {
    list: async () => ({
      tools: lasting((await client.listTools()).tools.map(({ name }) => name)),
      prompts: lasting((await client.listPrompts()).prompts.map(({ name }) => name)),
      resources: (await client.listResources()).resources.map(({ uri }) => uri),
    }),
    call: () => tool('test_simple_text'),
    binary: () => tool('test_image_content'),
    failing: () => tool('test_error_handling'),
    unknown: () => tool('no_such_tool'),
    prompt: () => client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'one', arg2: 'zwölf' } }),
    resource: () => client.readResource({ uri: 'test://static-text' }),
    progress: async () => {
      const heard = [];
      const { isError } = await tool('test_tool_with_progress', {}, { onprogress: ({ progress, total }) => heard.push(`${progress}/${total}`) });
      return { heard, isError };
    },
    logging: async () => {
      await client.setLoggingLevel('info');
      return tool('test_tool_with_logging');
    },
    sampling: () => tool('test_sampling', { prompt: 'well?' }),
    elicitation: () => tool('test_elicitation', { message: 'who?' }),
    inputs: () => Promise.all(['elicitation', 'sampling', 'list_roots', 'request_state', 'multiple_inputs', 'multi_round']
      .map((kind) => tool(`test_input_required_result_${kind}`))),
    inputPrompt: () => client.getPrompt({ name: 'test_input_required_result_prompt' }),
    header: async () => { // which arguments are mirrored into headers is in the listing
      await client.listTools();
      return tool('test_x_mcp_header', { region: 'eu-zürich', level: 3 });
    },
    changes: async () => { // over the standing stream
      await streamOpen.promise;
      await tool('test_trigger_tool_change');
      await changed.promise;
      return 'heard';
    },
    listen: async () => {
      const subscription = await client.listen({ toolsListChanged: true });
      await tool('test_trigger_tool_change');
      await changed.promise;
      await subscription.close();
      return { honored: subscription.honoredFilter, closed: await subscription.closed };
    },
    consent: async () => { // was given, ends, and is asked for by the next call
      await open('disconnect');
      const first = await tool('whoami');
      if (!first.data?.elicitations) return first;
      await open(first.data.elicitations[0].url, '/wait');
      return { first: first.code, ...await tool('whoami') };
    },
    reconnect: () => tool('test_reconnection'),
    terminate: async () => {
      const session = transport.sessionId;
      await transport.terminateSession();
      const again = await fetch(url, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${token}`, Accept: 'application/json, text/event-stream', 'Content-Type': 'application/json',
          'Mcp-Session-Id': session, 'MCP-Protocol-Version': saw.version,
        },
        body: '{"jsonrpc":"2.0","id":99,"method":"tools/list"}',
      });
      return { had: Boolean(session), has: Boolean(transport.sessionId), afterwards: again.status };
    },
  };
}

async function attend({ url, token, sdk, mode, browser, steps }, saw) {
  const [streamOpen, changed] = [signal(), signal()];
  const modules = await sdks[sdk]();
  const transport = new modules.StreamableHTTPClientTransport(new URL(url), {
    fetch: watching(saw, streamOpen),
    requestInit: { headers: { Authorization: `Bearer ${token}` } },
    reconnectionOptions: { initialReconnectionDelay: 10, maxReconnectionDelay: 100, reconnectionDelayGrowFactor: 1.5, maxRetries: 5 },
  });
  const client = new modules.Client({ name: 'desktop', version: '1' },
    { capabilities: { sampling: {}, elicitation: browser ? { form: {}, url: {} } : {}, roots: {} }, versionNegotiation: mode && { mode } });
  const open = (link, path = '') => fetch(browser + path, { method: 'POST', body: link });
  answering(client, modules, saw, changed, open);
  try {
    await client.connect(transport);
    saw.version = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
    Object.assign(saw, { session: Boolean(transport.sessionId), server: client.getServerVersion(), capabilities: client.getServerCapabilities() });
    const can = stepsOf({ client, transport, url, token, saw, options: modules.options, streamOpen, changed, open });
    for (const step of steps) {
      saw.at = step;
      saw[step] = await can[step]();
    }
    await client.close();
    delete saw.at;
  } catch (error) {
    saw.error = `${error.name}: ${error.message} (${error.code})`;
  }
}

// A client that waits for ever tells how far it came.
async function inTime(script) {
  const saw = { http: [], receipts: [], log: [] };
  const late = new Promise((resolve) => { setTimeout(resolve, 60_000).unref(); }).then(() => { saw.error ??= 'it waits for ever'; });
  await Promise.race([attend(script, saw), late]);
  return saw;
}

const scripts = JSON.parse(await text(process.stdin));
const report = JSON.stringify(await Promise.all(scripts.map(inTime)));
process.stdout.write(`${report}\n`, () => process.exit(0));
