import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  server: {
    host: true,
    port: Number(process.env.VITE_PORT ?? 8080),
    strictPort: true,
    // nginx passes on whatever name the page was asked for under.
    allowedHosts: true,
  },
});
