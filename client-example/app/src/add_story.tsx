// Adding a story by pasting its address.

import { type FormEvent, type ReactNode, useState } from "react";
import { titleOf } from "./entries.ts";
import { useChanges } from "./library.ts";

export function AddStoryForm(): ReactNode {
  const changes = useChanges();
  const [error, setError] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const url = String(new FormData(form).get("url") ?? "").trim();
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      setError("An address begins with https:// or http://.");
      return;
    }
    setError("");
    form.reset();
    // The ids are made here, so that the story can be changed before it is sent.
    const ids = { storyId: crypto.randomUUID(), progressId: crypto.randomUUID() };
    await changes.addStory({ ...ids, url, title: titleOf(url) });
  };
  return (
    <form className="add" onSubmit={(event) => void submit(event)} noValidate>
      <label className="grow">
        <span className="hidden">Add a story by its address</span>
        <input
          name="url"
          type="url"
          inputMode="url"
          placeholder="Paste the address of a story"
          required
          autoComplete="off"
          aria-invalid={error !== ""}
          aria-describedby="add-error"
        />
      </label>
      <button type="submit" className="primary">
        Add
      </button>
      <p id="add-error" role="alert">
        {error}
      </p>
    </form>
  );
}
