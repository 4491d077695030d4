"""Drives one device of docs/examples/sync_client.py: python3 two-devices.py URL TOKEN STATE NAME

Prints a JSON line for each change of what the device has. Reads JSON lines: {"call": NAME, "arguments": …}.
"""
import json, os, sys, threading, time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../docs/examples"))
from sync_client import Device

url, token, path, name = sys.argv[1:]
out = sys.stdout
sys.stdout = sys.stderr  # what the device itself prints
device = Device(url, lambda: token, path, name, heartbeat=2.0, longest_wait=1.0)


def watch():
    before = None
    while True:
        rows = device.rows()
        stories = {row["id"]: row["title"] for key, row in rows.items() if key.startswith("STORY ")}
        shown = {stories[row["storyId"]]: [row["currentChapter"], row.get("notes")]
                 for key, row in rows.items() if key.startswith("PROGRESS ")}
        reports = [[report["mutation"], (report["refusal"] or {}).get("code"), (report["conflict"] or {}).get("resolution")]
                   for report in device.state["reports"]]
        now = {"event": "state", "head": device.state["head"], "shown": shown, "outbox": len(device.state["outbox"]), "reports": reports}
        if now != before:
            print(json.dumps(now), file=out, flush=True)
        before = now
        time.sleep(0.05)


threading.Thread(target=watch, daemon=True).start()
for line in sys.stdin:
    command = json.loads(line)
    if "token" in command:
        token = command["token"]
        continue
    made = getattr(device, command["call"])(**command["arguments"])
    if made:
        print(json.dumps({"event": "made", "story": made[0], "progress": made[1]}), file=out, flush=True)
