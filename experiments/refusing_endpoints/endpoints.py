"""Endpoints that refuse, each as a function of a request: (status, body, content type) of the response."""

import json
from itertools import pairwise

LEDGER = {
    "is_in_loop": False,
    "is_progress_being_made": True,
    "next_speaker": "FileSurfer",
    "instruction_or_question": "Go on.",
}
PAGE = "<html><head><title>{}</title></head><body><h1>{}</h1><hr>nginx</body></html>"


def completion(body, content=None, **message):
    """A reply that suits the request: a ledger or a tool call where one is asked for, else an answer."""
    told = " ".join(message["content"] for message in body["messages"])
    text = "FINAL ANSWER: 5"
    if "Progress check." in body["messages"][-1]["content"]:
        text = json.dumps({"is_request_satisfied": "FileSurfer: Go on." in told} | LEDGER)
    elif "Next action." in body["messages"][-1]["content"]:
        text = json.dumps({"tool": "list_files", "arguments": {}})
    said = {"role": "assistant", "content": text if content is None else content} | message
    usage = {"prompt_tokens": 30, "completion_tokens": 5}
    return 200, {"model": "m", "usage": usage, "choices": [{"index": 0, "finish_reason": "stop", "message": said}]}


def always(status, body):
    """The same response to everything."""
    return lambda request: (status, body)


def unless(refused, status, message, **more):
    """An error as long as the request is as `refused` says."""

    def answer(request):
        if refused(request):
            return status, {"error": {"message": message, "code": status} | more}
        return completion(request)

    return answer


def roles(request):
    return [message["role"] for message in request["messages"]]


def has_name(request):
    return any("name" in message for message in request["messages"])


def repeats(request):
    found = roles(request)
    return any(one == other for one, other in pairwise(found))


def error(message, code=None, **more):
    return {"error": {"message": message, "code": code} | more}


GEMINI = [
    {
        "error": {
            "code": 400,
            "message": "API key not valid. Please pass a valid API key.",
            "status": "INVALID_ARGUMENT",
            "details": [{"reason": "API_KEY_INVALID"}],
        }
    }
]
REFUSING = {  # nothing helps: expected is an exit code other than 0, and one line
    "account empty, 402": always(402, error("Insufficient Balance", "invalid_request_error")),
    "account empty, 400": always(400, error("Your credit balance is too low to access the API.")),
    "account empty, 200": always(200, error("Insufficient credits. Add more using the account page.", 402)),
    "bad key, 401": always(401, error("Incorrect API key provided", "invalid_api_key")),
    "bad key, 400 in a list": always(400, GEMINI),
    "bad key, 403": always(403, error("Invalid API key")),
    "region, 403": always(403, error("Country, region, or territory not supported", "unsupported_country")),
    "deployment paused, 400": always(400, error("The deployment is paused")),
    "no such model, 404": always(404, error("The model `m` does not exist", "model_not_found")),
    "no such address, 404": always(404, PAGE.format("404 Not Found", "404 Not Found")),
    "quota of a minute, 429": always(429, error("Rate limit reached, 0 requests per minute")),
    "server fails, 500": always(500, error("CUDA out of memory")),
    "gateway fails, 502": always(502, PAGE.format("502 Bad Gateway", "502 Bad Gateway")),
    "provider fails, 200": always(200, error("Provider returned error", 502)),
    "sign-in page, 200": always(200, PAGE.format("Sign in", "Sign in")),
    "all moderated, 403": always(403, error("Your input was flagged by moderation")),
    "thoughts alone": lambda request: completion(request, "", reasoning_content="Let me think about this."),
    "empty replies": lambda request: completion(request, ""),
    "temperature, 400": always(400, error("Unsupported value: 'temperature' does not support 0.2 with this model.")),
    "redirect, 307": always(307, ""),
}
PICKY = {  # something in the request is not taken, and can be said otherwise: expected is a normal end
    "name, 422 (Mistral)": unless(has_name, 422, "messages.0.name: Extra inputs are not permitted"),
    "name, 400 (xAI)": unless(has_name, 400, 'Only messages of role "user" can have a name.'),
    "roles alternate (Gemma)": unless(repeats, 400, "Conversation roles must alternate user/assistant/user/..."),
    "successive (deepseek)": unless(repeats, 400, "does not support successive user or assistant messages"),
    "no system role": unless(lambda request: "system" in roles(request), 400, "System role not supported"),
    "no seed": unless(lambda request: "seed" in request, 422, "seed: Extra inputs are not permitted"),
    "no JSON mode, 400": unless(lambda request: "response_format" in request, 400, "response_format is not supported"),
    "no JSON mode, 500": unless(lambda request: "response_format" in request, 500, "grammar backend failed"),
    "name, roles and JSON": unless(
        lambda request: has_name(request) or repeats(request) or "response_format" in request, 400, "Bad Request"
    ),
}
