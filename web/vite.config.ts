/** Builds page.html with everything in it, into the Python package. */
import { defineConfig } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

export default defineConfig({
  plugins: [viteSingleFile()],
  build: {
    target: "es2022",
    outDir: "../src/snugmalloc/viewing",
    emptyOutDir: false,
    rollupOptions: { input: "page.html" },
  },
});
