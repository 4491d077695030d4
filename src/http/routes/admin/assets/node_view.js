// The state of one node: draws its last report, and the rates since the reports before.

import { by } from "./session.js";
import { bar, buckets, element, fill, percent, seconds, sum, time, values, within } from "./tables.js";

/** Reports that are kept for the rate of changes: two minutes. */
const KEPT = 60;

/** The last reports of the node, and the first one that this page received from it. */
let reports = [];
let baseline = null;

/** Forgets the reports: the next ones may be of another node. */
export function forgetNode() {
  reports = [];
  baseline = null;
}

export function showNode(report) {
  baseline ??= report;
  reports = [...reports, report].slice(-KEPT);
  draw();
}

function draw() {
  const report = reports.at(-1);
  if (report === undefined) return;
  const { samples } = report;
  const old = by("period").value === "page" ? baseline.samples : [];
  const now = (name, labels) => sum(samples, name, labels);
  const count = (name, labels) => now(name, labels) - sum(old, name, labels);
  by("node-name").textContent = `${report.node}, version ${report.version}.`;
  drawFigures(now);
  drawStreams(samples, now, count);
  drawLatency(samples, count);
  drawBroker(samples, now, count);
  drawPush(samples, count);
  const codes = values(samples, ["library_sync_errors_total"], "code");
  fill(
    by("errors"),
    codes.map((code) => [code, count("library_sync_errors_total", { code })]),
  );
}
by("period").addEventListener("change", draw);

/** Returns the changes per second between each two reports. */
function rates() {
  const changes = ({ samples }) => sum(samples, "library_sync_changes_total");
  return reports.slice(1).map((report, at) => {
    const before = reports[at];
    const elapsed = Math.max(1, Date.parse(report.at) - Date.parse(before.at));
    return (1_000 * (changes(report) - changes(before))) / elapsed;
  });
}

function drawFigures(now) {
  const all = rates();
  const last = all.slice(-5);
  const rate = last.reduce((total, one) => total + one, 0) / Math.max(1, last.length);
  const figures = [
    ["Changes a second", rate.toFixed(1)],
    ["Open streams", now("library_sync_streams")],
    ["Connections", `${now("library_sync_connections")} of ${now("library_sync_max_connections")}`],
    ["Database", now("library_sync_database_up") === 0 ? "does not answer" : "answers"],
    ["Database connections in use", now("library_sync_db_connections", { state: "used" })],
    ["Memory", `${Math.round(now("library_sync_process_resident_bytes") / 2 ** 20)} MiB`],
  ];
  const list = by("figures");
  if (list.childElementCount === 0) {
    list.append(...figures.map(([name]) => element("div", element("dt", name), element("dd"))));
  }
  figures.forEach(([, value], at) => {
    const shown = list.children[at].lastElementChild;
    if (shown.textContent !== String(value)) shown.textContent = value;
  });
  const highest = Math.max(1, ...all);
  const points = all.map((one, at) => `${KEPT - all.length + at + 1},${19 - (18 * one) / highest}`);
  by("spark").firstElementChild.setAttribute("points", points.join(" "));
}

function drawStreams(samples, now, count) {
  const names = ["library_sync_streams", "library_sync_stream_ends_total"];
  const row = (transport) => [
    transport,
    now("library_sync_streams", { transport }),
    count("library_sync_stream_ends_total", { transport }),
  ];
  fill(by("streams"), values(samples, names, "transport").map(row));
}

function drawLatency(samples, count) {
  const name = "library_sync_commit_to_event_seconds";
  const total = (counted) => counted.reduce((all, [, events]) => all + events, 0);
  const row = (transport) => {
    const counted = buckets(count, samples, name, { transport });
    const all = total(counted);
    const early = total(counted.filter(([bound]) => bound <= 1));
    return [transport, all, within(counted, 0.5), within(counted, 0.99), percent(early, all)];
  };
  fill(by("latency"), values(samples, [`${name}_bucket`], "transport").map(row));
  const counted = buckets(count, samples, name, {});
  const all = total(counted);
  const rows = counted
    .filter(([, events]) => events > 0)
    .map(([bound, events]) => {
      const range = Number.isFinite(bound) ? `up to ${seconds(bound)}` : seconds(bound);
      return [range, events, bar(events, all)];
    });
  fill(by("histogram"), rows);
}

function drawBroker(samples, now, count) {
  const [broker] = values(samples, ["library_sync_broker_connected"], "broker");
  if (broker === undefined) {
    fill(by("broker"), [], "None: this node learns of changes on other nodes once per heartbeat");
    return;
  }
  fill(by("broker"), [
    ["Kind", broker],
    ["Connected links", now("library_sync_broker_connected")],
    ["Reconnects", count("library_sync_broker_reconnects_total")],
    ["Watched users", now("library_sync_broker_watched_users")],
    ["Notices published", count("library_sync_broker_notices_published_total")],
    ["Notices received", count("library_sync_broker_notices_received_total")],
    ["Notices dropped", count("library_sync_broker_notices_dropped_total")],
    ["Changes found by a recheck", count("library_sync_notices_healed_total")],
  ]);
}

function drawPush(samples, count) {
  const outcomes = ["sent", "delivered", "failed", "gone"].map((what) => `library_sync_push_${what}_total`);
  const rows = values(samples, outcomes, "vendor").map((vendor) => [
    vendor,
    ...outcomes.map((name) => count(name, { vendor })),
  ]);
  const [ok, failed] = ["ok", "failed"].map((outcome) =>
    count("library_sync_webhook_calls_total", { outcome }),
  );
  if (ok + failed > 0) rows.push(["webhook", ok + failed, ok, failed, "–"]);
  fill(by("push"), rows);
}

export function showNodes({ nodes, code }) {
  by("nodes-note").textContent =
    nodes === undefined
      ? `Unknown: the database does not answer (${code}).`
      : "From the database, where each node renews its row. A node that crashed stays for up to a minute. Only the " +
        "streams of devices that name themselves are stored, up to --device-interval late.";
  const row = (node) => [
    `${node.name}${node.isThis ? " (this node)" : ""}`,
    time(node.startedAt),
    node.streams,
  ];
  if (nodes !== undefined) fill(by("nodes"), nodes.map(row));
}
