// Bundles every components/*/bundle.mjs into OUT/<folder>.js, with what they share in OUT/chunks, and the licences beside them.
// Usage: node build.mjs OUT
import { build } from "esbuild";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2]);

const entryPoints = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(join(here, entry.name, "bundle.mjs")))
  .map((entry) => ({ in: join(here, entry.name, "bundle.mjs"), out: entry.name }));

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints,
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none", // all licences are in licences.txt
  chunkNames: "chunks/[name]-[hash]",
  loader: { ".css": "text" }, // an element puts its style sheet into the page itself
  metafile: true,
  logLevel: "warning",
});

/** Every file that the browser needs before it can run `output`, itself included; imports within functions come later. */
function needs(output, found = new Set()) {
  found.add(output);
  for (const { path, kind } of metafile.outputs[output].imports) {
    if (kind === "import-statement" && !found.has(path)) needs(path, found);
  }
  return [...found].map((path) => relative(out, join(here, path)));
}

const entries = Object.keys(metafile.outputs).filter((output) => metafile.outputs[output].entryPoint?.endsWith("/bundle.mjs"));
const needed = Object.fromEntries(entries.map((entry) => [relative(out, join(here, entry)), needs(entry)]));
writeFileSync(join(out, "needs.json"), JSON.stringify(needed));

/** The folder of the npm package a bundled file comes from, or null for our own code. */
function packageOf(input) {
  const found = input.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//);
  return found && found[1];
}

const packages = [...new Set(Object.keys(metafile.inputs).map(packageOf).filter(Boolean))].sort();
const licences = packages.map((folder) => {
  const about = JSON.parse(readFileSync(join(here, folder, "package.json"), "utf8"));
  const file = readdirSync(join(here, folder)).find((name) => /^(licen[cs]e|copying)/i.test(name));
  const text = file ? readFileSync(join(here, folder, file), "utf8").trim() : "(no licence text in the package)";
  return `${about.name} ${about.version} (${about.license})\n\n${text}\n`;
});
writeFileSync(join(out, "licences.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));
