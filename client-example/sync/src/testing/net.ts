// The network between one device and a server. It works with any `fetch` and any transport, real ones too.

import type { Transport } from "../browser/index.ts";

export class TestNet {
  readonly #send: typeof fetch;
  readonly #open: Transport;
  readonly #streams = new Set<() => void>();
  #losesNotices = false;
  #isCut = false;
  #lostAnswers = 0;
  #requests = 0;

  constructor(send: typeof fetch, open: Transport) {
    this.#send = send;
    this.#open = open;
  }

  /** How many requests have left the device. */
  get requests(): number {
    return this.#requests;
  }

  /** Loses every event of open and new streams. Heartbeats are lost too. */
  loseNotices(): void {
    this.#losesNotices = true;
  }

  deliverNotices(): void {
    this.#losesNotices = false;
  }

  /** Cuts the device off: requests fail, and streams end. */
  cut(): void {
    this.#isCut = true;
    for (const end of [...this.#streams]) end();
  }

  reconnect(): void {
    this.#isCut = false;
  }

  /** Loses the answers of the next requests. The server has handled them. */
  loseAnswers(count = 1): void {
    this.#lostAnswers += count;
  }

  deliverAnswers(): void {
    this.#lostAnswers = 0;
  }

  readonly fetch: typeof fetch = async (input, init) => {
    if (this.#isCut) throw new TypeError("the network is cut");
    this.#requests += 1;
    const response = await this.#send(input, init);
    if (this.#lostAnswers > 0) {
      this.#lostAnswers -= 1;
      throw new TypeError("the answer is lost");
    }
    if (this.#isCut) throw new TypeError("the network is cut");
    return response;
  };

  readonly transport: Transport = ({ head, ended }) => {
    let isOpen = !this.#isCut;
    const close = isOpen
      ? this.#open({
          head: (news) => isOpen && !this.#losesNotices && head(news),
          ended: (reason) => {
            this.#streams.delete(end);
            if (isOpen) ended(reason);
            isOpen = false;
          },
        })
      : () => {};
    const end = () => {
      isOpen = false;
      this.#streams.delete(end);
      close();
      ended("closed");
    };
    if (isOpen) this.#streams.add(end);
    else queueMicrotask(() => ended("closed"));
    return () => {
      isOpen = false;
      this.#streams.delete(end);
      close();
    };
  };
}
