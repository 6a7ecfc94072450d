import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  server: { host: process.env.HOST ?? true, port: Number(process.env.PORT ?? 5173), strictPort: true },
  clearScreen: false,
});
