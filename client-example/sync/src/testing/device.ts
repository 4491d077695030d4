// The device that made a change, as its input names it.

export interface Device {
  readonly id: string;
  readonly name: string | null;
}
