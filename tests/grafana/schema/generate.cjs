// Prints JSON schemas of Grafana's classic dashboard and of the panel plugins' options, made
// from the types in @grafana/schema. Run as package.json says; the result is committed.
const generator = require("ts-json-schema-generator");

const TYPES = "node_modules/@grafana/schema/dist/types/raw/";
const PLUGINS = ["stat", "table", "timeseries", "trend", "barchart", "statetimeline"];

function schemaOf(path, type) {
  const config = {
    path: TYPES + path,
    type,
    tsconfig: "tsconfig.json",
    additionalProperties: false,
    encodeRefs: false,
    expose: "export",
    jsDoc: "none",
    skipTypeCheck: true,
    topRef: false,
  };
  return generator.createGenerator(config).createSchema(type);
}

const schemas = {Dashboard: schemaOf("dashboard/x/types.gen.d.ts", "Dashboard")};
for (const plugin of PLUGINS) {
  for (const type of ["Options", "FieldConfig"]) {
    const path = `composable/${plugin}/panelcfg/x/types.gen.d.ts`;
    try {
      schemas[`${plugin}.${type}`] = schemaOf(path, type);
    } catch (error) {
      if (!String(error).includes("No root type")) throw error; // stat has no field settings
    }
  }
}
const version = require("@grafana/schema/package.json").version;
process.stdout.write(JSON.stringify({version, schemas}, null, 1) + "\n");
