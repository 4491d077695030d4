// What a person does with the account as a whole: takes a copy of everything, or deletes everything.

import { useLibrary } from "library-sync-client/react";
import { type ReactNode, useState } from "react";
import { EraseAccount, ExportLibrary, RequestAccountErasure } from "./documents.ts";
import type {
  EraseAccountMutation,
  ExportLibraryMutation,
  RequestAccountErasureMutation,
} from "./generated/graphql.ts";

export function Account({ user, onErased }: { user: string; onErased: () => void }): ReactNode {
  const { server } = useLibrary();
  const [outcome, setOutcome] = useState("");
  const run = (work: () => Promise<string>) => {
    void work().then(setOutcome, (error: unknown) => setOutcome(`That did not work: ${String(error)}`));
  };
  const exportLibrary = async () => {
    const { data } = await server.query<ExportLibraryMutation>(String(ExportLibrary), { input: {} });
    const { address, refusal } = data.exportLibrary ?? {};
    if (!address) throw new Error(refusal?.message ?? "no address");
    const link = document.createElement("a");
    link.href = address;
    link.download = "";
    link.click();
    return "The download of your library has begun.";
  };
  const deleteAccount = async () => {
    const warning =
      "Your library, its history and your devices are deleted on the server and on all devices. " +
      `It cannot be undone. To confirm, enter your user name: ${user}`;
    if (window.prompt(warning)?.trim() !== user) return "Nothing was deleted.";
    const asked = await server.query<RequestAccountErasureMutation>(String(RequestAccountErasure), {
      input: {},
    });
    const { confirmationToken, refusal } = asked.data.requestAccountErasure ?? {};
    if (!confirmationToken) throw new Error(refusal?.message ?? "no confirmation");
    const input = { confirmationToken };
    const { data } = await server.query<EraseAccountMutation>(String(EraseAccount), { input });
    const refused = data.eraseAccount?.refusal;
    if (refused) throw new Error(refused.message);
    onErased();
    return "Your account is deleted.";
  };
  return (
    <section aria-label="Account" className="changes">
      <h2>Account</h2>
      <p>The file has your library and its history. You can import it on another server.</p>
      <button type="button" onClick={() => run(exportLibrary)}>
        Export my library
      </button>{" "}
      <button type="button" onClick={() => run(deleteAccount)}>
        Delete my account
      </button>
      <p role="status">{outcome}</p>
    </section>
  );
}
