import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // The service worker's build reads it, to know what the app needs to start offline.
    manifest: true,
    // Small files inlined as data: addresses would need a weaker Content-Security-Policy.
    assetsInlineLimit: 0,
  },
});
