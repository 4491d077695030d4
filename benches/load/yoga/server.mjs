// `{ libraryVersion }` by graphql-yoga, as the yardstick of the load `version-checks`.
//
// node server.mjs PORT DATABASE-URL SECRET
//
// It does what the server does: it verifies a token signed with HS256 and reads the user's row with a prepared statement.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { GraphQLError } from "graphql";
import { createSchema, createYoga } from "graphql-yoga";
import pg from "pg";

const [port, connectionString, secret] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString, max: 20 });

function subject(request) {
  const token = request.headers.get("authorization")?.replace("Bearer ", "") ?? "";
  const [header, claims, signature] = token.split(".");
  const expected = createHmac("sha256", secret).update(`${header}.${claims}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (given.length === expected.length && timingSafeEqual(given, expected)) {
    const { alg } = JSON.parse(Buffer.from(header, "base64url"));
    const { sub, exp } = JSON.parse(Buffer.from(claims, "base64url"));
    if (alg === "HS256" && exp > Date.now() / 1000) return sub;
  }
  throw new GraphQLError("unauthenticated", { extensions: { code: "UNAUTHENTICATED", http: { status: 401 } } });
}

const head = {
  name: "head",
  text: "SELECT subject, library_version, library_epoch, library_floor FROM topaz_user WHERE subject = $1",
};

const yoga = createYoga({
  logging: "error",
  graphiql: false,
  schema: createSchema({
    typeDefs: "type Query { libraryVersion: Int! }",
    resolvers: {
      Query: {
        async libraryVersion(_, __, { request }) {
          const { rows } = await pool.query({ ...head, values: [subject(request)] });
          return rows[0].library_version;
        },
      },
    },
  }),
});

createServer(yoga).listen(Number(port), "127.0.0.1");
