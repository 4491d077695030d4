// Logs nothing: the production form of `console.ts`.

export function debug(_message: string, _detail?: unknown): void {}
