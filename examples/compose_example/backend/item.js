const mongoose = require("mongoose");

const schema = new mongoose.Schema(
  { name: { type: String, required: true, trim: true, minlength: 1, maxlength: 200 } },
  { timestamps: true },
);

module.exports = mongoose.model("Item", schema);
