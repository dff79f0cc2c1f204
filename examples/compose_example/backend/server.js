const express = require("express");
const mongoose = require("mongoose");

const Item = require("./item");

const port = Number(process.env.PORT ?? 3000);
const database = process.env.WHICH_DB ?? "mongodb://localhost:27017/composexample";

const app = express();
app.use(express.json());

app.get("/health", (request, response) => {
  const connected = mongoose.connection.readyState === mongoose.ConnectionStates.connected;
  response.status(connected ? 200 : 503).json({ database: connected ? "connected" : "away" });
});

app.get("/api/items", async (request, response) => {
  response.json(await Item.find().sort({ createdAt: 1, _id: 1 }));
});

app.post("/api/items", async (request, response) => {
  response.status(201).json(await Item.create({ name: request.body?.name }));
});

app.use((error, request, response, next) => {
  const invalid = error instanceof mongoose.Error.ValidationError;
  if (!invalid) console.error(error);
  response.status(invalid ? 400 : 500).json({ error: error.message });
});

async function main() {
  await mongoose.connect(database, { serverSelectionTimeoutMS: 5000 });
  console.log(`connected to ${database}`);
  const server = app.listen(port, () => console.log(`listening on port ${port}`));
  const stop = async () => {
    server.close();
    server.closeAllConnections();
    await mongoose.disconnect();
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

main().catch((error) => {
  console.error(`cannot start: ${error.message}`);
  process.exit(1);
});
