// Signing in with a development token. Where another page signs people in, its cookie is found and this is not shown.

import { type FormEvent, type ReactNode, useState } from "react";
import { beginSession, findUser } from "./session.ts";

export function SignIn({
  onSignedIn,
  isRenewal = false,
}: {
  onSignedIn: () => void;
  isRenewal?: boolean;
}): ReactNode {
  const [error, setError] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get("token") ?? "").trim();
    if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
      setError("A token has three parts with dots between them.");
      return;
    }
    beginSession(token);
    if ((await findUser()) === null) setError("The server does not accept this token. It may have expired.");
    else onSignedIn();
  };
  // A renewal is asked for above the library, which is the page's main part then.
  const [Part, Heading] = isRenewal ? (["section", "h2"] as const) : (["main", "h1"] as const);
  const title = isRenewal ? "Your session has ended" : "Sign in";
  return (
    <Part className="sign-in" aria-label={title}>
      <form onSubmit={(event) => void submit(event)}>
        <Heading>{title}</Heading>
        {isRenewal && <p>What you change is kept on this device and sent once you have signed in.</p>}
        <label>
          Token
          <textarea
            name="token"
            rows={4}
            required
            spellCheck={false}
            autoComplete="off"
            aria-describedby="token-help"
          />
        </label>
        <p id="token-help">
          <code>library-sync dev</code> and <code>library-sync token</code> print one.
        </p>
        {error !== "" && <p role="alert">{error}</p>}
        <button type="submit" className="primary">
          Sign in
        </button>
      </form>
    </Part>
  );
}
