/** Builds a page with everything in it, page.html or demo.html by the mode, into the Python package. */
import { defineConfig } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

export default defineConfig(({ mode }) => ({
  plugins: [viteSingleFile()],
  build: {
    target: "es2022",
    outDir: "../src/snugmalloc/viewing",
    emptyOutDir: false,
    rollupOptions: { input: `${mode}.html` },
  },
}));
