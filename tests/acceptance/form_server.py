"""An MCP server on standard input and output whose one tool asks its user for a name, by a form."""

import json
import sys
from typing import Any

FORM = {
    "message": "Please give your user name",
    "requestedSchema": {
        "type": "object",
        "properties": {"username": {"type": "string", "title": "Username"}},
        "required": ["username"],
    },
}


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def result_of(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        version = parameters["protocolVersion"]
        return {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "form", "version": "1"},
        }
    if method == "tools/list":
        schema = {"type": "object", "properties": {}}
        return {"tools": [{"name": "ask_user", "description": "Asks the user", "inputSchema": schema}]}
    return {}


def main() -> None:
    call_id = None
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "tools/call":
            call_id = message["id"]
            send(id="form-1", method="elicitation/create", params=FORM)
        elif message.get("id") == "form-1":
            text = json.dumps(message.get("result", message.get("error")))
            send(id=call_id, result={"content": [{"type": "text", "text": text}]})
        elif "method" in message and "id" in message:
            send(id=message["id"], result=result_of(message["method"], message.get("params", {})))


if __name__ == "__main__":
    main()
