// The entry of the app: session first, then the library of the user who is signed in.

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { takeTokenFromAddress } from "./session.ts";
import "./style.css";

takeTokenFromAddress();

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}

if ("serviceWorker" in navigator && import.meta.env.PROD) {
  void navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" });
}
