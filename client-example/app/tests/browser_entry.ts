export { connectLibrary } from "library-sync-client/browser";
