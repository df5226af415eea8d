"""The openai SDK for Python, unchanged, against a gateway whose provider is the built-in one.

GATEWAY_URL says where. One line a scenario, then `N passed, N failed`.
"""

import asyncio
import json
import os
import sys
import traceback

import openai

URL = os.environ["GATEWAY_URL"]
MODEL = "clients/chat"
HELLO = [{"role": "user", "content": "Say hello to the toll keeper, please."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FORCED = {"type": "function", "function": {"name": "weather"}}

SCENARIOS = []


def scenario(story):
    SCENARIOS.append(story)
    return story


def options(key, **more):
    # A retry would hide what the gateway answered first.
    return {"base_url": f"{URL}/v1", "api_key": key, "max_retries": 0, "timeout": 20, **more}


def client(key="sk-clients-all", **more):
    return openai.OpenAI(**options(key, **more))


def refused(kind, call):
    try:
        call()
    except openai.APIStatusError as error:
        assert type(error) is kind, f"{type(error).__name__}, not {kind.__name__}: {error}"
        assert error.body and error.body.get("message"), f"no message in {error.body!r}"
        return error
    raise AssertionError(f"answered, instead of {kind.__name__}")


def ask(model=MODEL, key="sk-clients-all", **more):
    return client(key).chat.completions.create(model=model, messages=HELLO, **more)


@scenario
def a_question_is_answered():
    answer = ask()
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason == "stop"
    assert answer.object == "chat.completion" and answer.id and answer.created > 0
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@scenario
def the_answer_says_how_it_came_about():
    raw = client().chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    assert raw.headers["x-turnpike-request-id"]
    assert raw.headers["x-turnpike-provider"] == "clients"
    assert raw.headers["x-turnpike-attempts"] == "1"
    assert raw.parse().choices


@scenario
def a_stream_says_the_same_as_the_whole():
    chunks = list(ask(stream=True))
    assert len(chunks) > 2, f"{len(chunks)} chunks"
    assert all(chunk.object == "chat.completion.chunk" and chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks), "usage that was not asked for"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == ask().choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"


@scenario
def a_stream_ends_with_usage_when_asked():
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].usage.total_tokens == ask().usage.total_tokens


@scenario
def a_stream_may_be_left_in_the_middle():
    caller = client()
    with caller.chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream:
        next(iter(stream))
    assert caller.chat.completions.create(model=MODEL, messages=HELLO).choices


@scenario
def a_tool_is_called():
    answer = ask(tools=[WEATHER], tool_choice=FORCED)
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and call.id
    assert isinstance(json.loads(call.function.arguments), dict)
    again = HELLO + [
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert client().chat.completions.create(model=MODEL, messages=again, tools=[WEATHER]).choices[0].message.content


@scenario
def a_tool_is_called_in_a_stream():
    name, arguments, last = "", "", None
    for chunk in ask(tools=[WEATHER], tool_choice=FORCED, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        last = chunk.choices[0].finish_reason
    assert name == "weather" and isinstance(json.loads(arguments), dict)
    assert last in ("tool_calls", "stop")


@scenario
def a_prompt_is_completed():
    answer = client().completions.create(model=MODEL, prompt="Once upon a time")
    assert answer.object == "text_completion" and answer.choices[0].text
    streamed = client().completions.create(model=MODEL, prompt="Once upon a time", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == answer.choices[0].text


@scenario
def texts_are_embedded():
    # The SDK asks for base64 and decodes it, unless told otherwise.
    packed = client().embeddings.create(model=MODEL, input=["toll", "road"])
    plain = client().embeddings.create(model=MODEL, input=["toll", "road"], encoding_format="float")
    assert [row.index for row in packed.data] == [0, 1]
    assert packed.data[0].embedding != packed.data[1].embedding
    for left, right in zip(packed.data, plain.data):
        assert len(left.embedding) == len(right.embedding) > 1
        assert all(abs(one - other) < 1e-6 for one, other in zip(left.embedding, right.embedding))
    assert packed.usage.prompt_tokens > 0


@scenario
def a_caller_sees_the_models_it_may_use():
    names = [model.id for model in client().models.list()]
    assert names == sorted(names) and MODEL in names
    assert all(name.startswith("clients/") for name in names), names
    assert [model.id for model in client("sk-clients-few").models.list()] == ["clients/fallback"]
    assert client().models.retrieve(MODEL).id == MODEL
    refused(openai.NotFoundError, lambda: client().models.retrieve("clients/nothing"))


@scenario
def a_target_that_is_gone_is_passed_over():
    raw = client().chat.completions.with_raw_response.create(model="clients/fallback", messages=HELLO)
    assert raw.headers["x-turnpike-attempts"] == "2" and raw.headers["x-turnpike-provider"] == "clients"


@scenario
def unknown_keys_are_authentication_errors():
    for key in ("sk-nobody", "sk-clients-disabled", "sk-clients-expired"):
        error = refused(openai.AuthenticationError, lambda key=key: ask(key=key))
        assert error.status_code == 401 and error.code == "invalid_api_key"
        refused(openai.AuthenticationError, lambda key=key: client(key).models.list())
        refused(openai.AuthenticationError, lambda key=key: ask(key=key, stream=True))


@scenario
def an_unknown_model_is_not_found():
    error = refused(openai.NotFoundError, lambda: ask(model="clients/nothing"))
    assert error.code == "model_not_found" and "clients/nothing" in error.message


@scenario
def a_model_that_is_not_allowed_is_a_permission_error():
    error = refused(openai.PermissionDeniedError, lambda: ask(key="sk-clients-few"))
    assert error.code == "model_not_allowed"


@scenario
def a_request_without_a_model_is_a_bad_request():
    def post(body):
        return lambda: client().post("/chat/completions", body=body, cast_to=object)

    assert refused(openai.BadRequestError, post({"messages": HELLO})).type == "invalid_request_error"
    refused(openai.BadRequestError, post({"model": 7, "messages": HELLO}))


@scenario
def a_provider_in_trouble_is_a_server_error():
    error = refused(openai.InternalServerError, lambda: ask(model="clients/gone"))
    assert error.status_code == 502 and error.code == "upstream_unreachable"
    assert refused(openai.InternalServerError, lambda: ask(model="clients/failing")).status_code >= 500


@scenario
def a_caller_may_lose_patience():
    caller = client(timeout=0.3)
    try:
        caller.chat.completions.create(model="clients/slow", messages=HELLO)
    except openai.APITimeoutError:
        pass
    else:
        raise AssertionError("a slow provider answered at once")
    assert caller.with_options(timeout=20).chat.completions.create(model=MODEL, messages=HELLO).choices


@scenario
def many_ask_at_once():
    async def whole(caller):
        return (await caller.chat.completions.create(model=MODEL, messages=HELLO)).choices[0].message.content

    async def pieces(caller):
        stream = await caller.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def all_of_them():
        async with openai.AsyncOpenAI(**options("sk-clients-all")) as caller:
            return await asyncio.gather(*[tell(caller) for tell in [whole, pieces] * 16])

    answers = asyncio.run(all_of_them())
    assert len(answers) == 32 and len(set(answers)) == 1 and answers[0]


def main():
    failed = 0
    for story in SCENARIOS:
        try:
            story()
            print(f"ok   {story.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {story.__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
    print(f"openai {openai.__version__} on Python {sys.version.split()[0]}")
    print(f"{len(SCENARIOS) - failed} passed, {failed} failed", flush=True)
    return 1 if failed or not SCENARIOS else 0


sys.exit(main())
