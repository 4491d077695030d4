// How the tests start Debian's Chromium.

export const CHROMIUM = {
  executablePath: process.env["LIBRARY_SYNC_TEST_CHROMIUM"] ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
};
