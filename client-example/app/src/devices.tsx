// The person's devices: which there are, whether each is up to date, and what to do if one is not.

import { useLibrary, useLibraryVersionSync } from "library-sync-client/react";
import { type ReactNode, useCallback, useEffect, useMemo, useState } from "react";
import { Devices, ForgetDevice, RenameDevice } from "./documents.ts";
import type { DevicesQuery } from "./generated/graphql.ts";
import { thisDevice } from "./session.ts";
import { VERDICT } from "./words.ts";

type Device = DevicesQuery["viewer"]["devices"][number];

export function DeviceList({ onSignOutEverywhere }: { onSignOutEverywhere: () => void }): ReactNode {
  const { server } = useLibrary();
  const { phase, currentVersion } = useLibraryVersionSync();
  const { id } = useMemo(thisDevice, []);
  const [devices, setDevices] = useState<readonly Device[]>([]);
  const [outcome, setOutcome] = useState("");
  const load = useCallback(async () => {
    const { data } = await server.query<DevicesQuery>(String(Devices), {});
    setDevices(data.viewer.devices);
  }, [server]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new version changes which devices are behind
  useEffect(() => {
    if (phase === "fresh") void load().catch(() => {});
  }, [load, phase, currentVersion]);
  const run = (document: object, input: object, done: string) => {
    const work = async () => {
      await server.query(String(document), { input });
      await load();
      setOutcome(done);
    };
    void work().catch((error: unknown) => setOutcome(`That did not work: ${String(error)}`));
  };
  const rename = (device: Device) => {
    const name = window.prompt("Name of the device", nameOf(device))?.trim();
    if (name) run(RenameDevice, { device: device.id, name }, `The device is named ${name}.`);
  };
  const forget = (device: Device) => {
    if (window.confirm(`Forget ${nameOf(device)}? It returns if it is used again.`))
      run(ForgetDevice, { device: device.id }, `${nameOf(device)} is forgotten.`);
  };
  return (
    <section aria-label="Devices" className="changes">
      <h2>Devices</h2>
      <ul>
        {devices.map((device) => (
          <li key={device.id}>
            <strong>{nameOf(device)}</strong>
            {device.id === id && " (this device)"}: {verdictOf(device)}
            {device.lastSeenAt !== null && (
              <>
                {" "}
                Last seen{" "}
                <time dateTime={device.lastSeenAt}>{new Date(device.lastSeenAt).toLocaleString()}</time>.
              </>
            )}{" "}
            <button
              type="button"
              className="quiet"
              aria-label={`Rename ${nameOf(device)}`}
              onClick={() => rename(device)}
            >
              Rename
            </button>{" "}
            {device.id !== id && (
              <button
                type="button"
                className="quiet"
                aria-label={`Forget ${nameOf(device)}`}
                onClick={() => forget(device)}
              >
                Forget
              </button>
            )}
          </li>
        ))}
      </ul>
      <p role="status">{outcome}</p>
      <button type="button" onClick={onSignOutEverywhere}>
        Sign out everywhere
      </button>
    </section>
  );
}

function nameOf({ name, platform }: Device): string {
  return name ?? platform ?? "Unnamed device";
}

function verdictOf({ behind, pending, verdict }: Device): string {
  const waiting = pending !== null && pending.count > 0 ? ` ${pending.count} unsent.` : "";
  const changes = behind === null || behind === 0 ? "" : ` ${behind} behind.`;
  return `${VERDICT[verdict]}${changes}${waiting}`;
}
