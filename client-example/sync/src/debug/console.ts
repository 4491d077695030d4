// Says in the console what the parts do. Bundlers choose this file in development, and `silent.ts` in production.

/** Logs a message. It never holds a token, a note or another text of the person. */
export function debug(message: string, detail?: unknown): void {
  // biome-ignore lint/suspicious/noConsole: that is what it is for
  console.debug(`[library-sync] ${message}`, detail ?? "");
}
