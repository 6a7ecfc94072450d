import { createServer } from "node:http";

const port = Number(process.env.PORT ?? 3000);
let visits = 0;

const server = createServer((request, response) => {
  visits += 1;
  response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
  response.end(`<!doctype html><title>Node.js</title><h1>Hello from Node.js</h1><p>Visit number ${visits}.</p>`);
});

server.listen(port, process.env.HOST ?? "0.0.0.0", () => console.log(`Listening on port ${port}`));
