// The openai SDK for Node, unchanged, against a gateway whose provider is the built-in one.
//
// GATEWAY_URL says where. One line a scenario, then `N passed, N failed`.

import assert from "node:assert/strict";
import OpenAI, {
  APIConnectionTimeoutError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
} from "openai";
import { VERSION } from "openai/version";

const URL = process.env.GATEWAY_URL;
const MODEL = "clients/chat";
const HELLO = [{ role: "user", content: "Say hello to the toll keeper, please." }];
const WEATHER = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather in a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const FORCED = { type: "function", function: { name: "weather" } };

// A retry would hide what the gateway answered first.
const client = (apiKey = "sk-clients-all", more = {}) =>
  new OpenAI({ baseURL: `${URL}/v1`, apiKey, maxRetries: 0, timeout: 20_000, ...more });

const ask = (more = {}, key) => client(key).chat.completions.create({ model: MODEL, messages: HELLO, ...more });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}

async function refused(kind, call) {
  const error = await call().then(
    () => assert.fail(`answered, instead of ${kind.name}`),
    (error) => error,
  );
  assert.equal(error.constructor.name, kind.name, String(error));
  assert.ok(error instanceof kind);
  return error;
}

const scenarios = {
  async a_question_is_answered() {
    const answer = await ask();
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.choices[0].message.role, "assistant");
    assert.ok(answer.choices[0].message.content);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.ok(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
  },

  async the_answer_says_how_it_came_about() {
    const { response } = await ask().withResponse();
    assert.ok(response.headers.get("x-turnpike-request-id"));
    assert.equal(response.headers.get("x-turnpike-provider"), "clients");
    assert.equal(response.headers.get("x-turnpike-attempts"), "1");
  },

  async a_stream_says_the_same_as_the_whole() {
    const chunks = await collect(ask({ stream: true }));
    assert.ok(chunks.length > 2);
    assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage));
    const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
    assert.equal(text, (await ask()).choices[0].message.content);
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  },

  async a_stream_ends_with_usage_when_asked() {
    const chunks = await collect(ask({ stream: true, stream_options: { include_usage: true } }));
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
    assert.ok(chunks.slice(0, -1).every((chunk) => !chunk.usage));
  },

  async a_stream_may_be_left_in_the_middle() {
    const caller = client();
    const stream = await caller.chat.completions.create({ model: MODEL, messages: HELLO, stream: true });
    for await (const _ of stream) break;
    const answer = await caller.chat.completions.create({ model: MODEL, messages: HELLO });
    assert.ok(answer.choices[0].message.content);
  },

  async a_stream_is_put_together_by_the_sdk() {
    const stream = client().chat.completions.stream({ model: MODEL, messages: HELLO });
    assert.equal(await stream.finalContent(), (await ask()).choices[0].message.content);
  },

  async a_tool_is_called() {
    const answer = await ask({ tools: [WEATHER], tool_choice: FORCED });
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(call.function.name, "weather");
    assert.equal(typeof JSON.parse(call.function.arguments), "object");
  },

  async a_tool_is_called_in_a_stream() {
    const stream = client().chat.completions.stream({
      model: MODEL,
      messages: HELLO,
      tools: [WEATHER],
      tool_choice: FORCED,
    });
    const message = await stream.finalMessage();
    assert.equal(message.tool_calls[0].function.name, "weather");
    assert.equal(typeof JSON.parse(message.tool_calls[0].function.arguments), "object");
  },

  async a_prompt_is_completed() {
    const prompt = "Once upon a time";
    const answer = await client().completions.create({ model: MODEL, prompt });
    assert.ok(answer.choices[0].text);
    const chunks = await collect(client().completions.create({ model: MODEL, prompt, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.text ?? "").join(""), answer.choices[0].text);
  },

  async texts_are_embedded() {
    // The SDK asks for base64 and decodes it, unless told otherwise.
    const input = ["toll", "road"];
    const packed = await client().embeddings.create({ model: MODEL, input });
    const plain = await client().embeddings.create({ model: MODEL, input, encoding_format: "float" });
    assert.equal(packed.data.length, 2);
    packed.data.forEach((row, at) => {
      const other = plain.data[at].embedding;
      assert.ok(row.embedding.length === other.length && other.length > 1);
      assert.ok(row.embedding.every((value, place) => Math.abs(value - other[place]) < 1e-6));
    });
  },

  async a_caller_sees_the_models_it_may_use() {
    const names = (await collect(client().models.list())).map((model) => model.id);
    assert.ok(names.includes(MODEL));
    assert.ok(names.every((name) => name.startsWith("clients/")));
    const few = await collect(client("sk-clients-few").models.list());
    assert.deepEqual(few.map((model) => model.id), ["clients/fallback"]);
    assert.equal((await client().models.retrieve(MODEL)).id, MODEL);
    await refused(NotFoundError, () => client().models.retrieve("clients/nothing"));
  },

  async unknown_keys_are_authentication_errors() {
    for (const key of ["sk-nobody", "sk-clients-disabled", "sk-clients-expired"]) {
      const error = await refused(AuthenticationError, () => ask({}, key));
      assert.equal(error.status, 401);
      assert.equal(error.code, "invalid_api_key");
    }
  },

  async an_unknown_model_is_not_found() {
    const error = await refused(NotFoundError, () => ask({ model: "clients/nothing" }));
    assert.equal(error.code, "model_not_found");
  },

  async a_model_that_is_not_allowed_is_a_permission_error() {
    const error = await refused(PermissionDeniedError, () => ask({}, "sk-clients-few"));
    assert.equal(error.code, "model_not_allowed");
  },

  async a_request_without_a_model_is_a_bad_request() {
    await refused(BadRequestError, () => client().post("/chat/completions", { body: { messages: HELLO } }));
    await refused(BadRequestError, () => ask({ model: 7 }));
  },

  async a_provider_in_trouble_is_a_server_error() {
    const error = await refused(InternalServerError, () => ask({ model: "clients/gone" }));
    assert.equal(error.status, 502);
    await refused(InternalServerError, () => ask({ model: "clients/failing" }));
  },

  async a_caller_may_lose_patience() {
    const caller = client("sk-clients-all", { timeout: 300 });
    const slow = () => caller.chat.completions.create({ model: "clients/slow", messages: HELLO });
    await refused(APIConnectionTimeoutError, slow);
  },

  async many_ask_at_once() {
    const caller = client();
    const answers = await Promise.all(
      Array.from({ length: 32 }, () => caller.chat.completions.create({ model: MODEL, messages: HELLO })),
    );
    assert.equal(new Set(answers.map((answer) => answer.choices[0].message.content)).size, 1);
  },
};

let failed = 0;
for (const [name, story] of Object.entries(scenarios)) {
  try {
    await story();
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n${error.stack}`);
  }
}
const passed = Object.keys(scenarios).length - failed;
console.log(`openai ${VERSION} on Node ${process.versions.node}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed || !passed ? 1 : 0;
