// V12: a client of another maker (@grpc/grpc-js) that knows nothing of us but the port. It asks
// reflection what is there, calls all four methods by what it was told, and makes 1000 unary calls.
'use strict';
const {spawn} = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const assert = require('assert');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [build, source] = process.argv.slice(2);
const kCalls = 1000;
const kInFlight = 16;

function startServer() {
  const ports = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'foreign-')), 'ports');
  const server = spawn(path.join(build, 'bin/dragoman-server'), [
    '--model', path.join(source, 'model/pretrained'), '--insecure', '--listen', '127.0.0.1:0',
    '--admin-listen', 'off', '--drain-grace-seconds', '0', '--port-file', ports]);
  return new Promise((resolve, reject) => {
    let log = '';
    server.stderr.on('data', (text) => {
      log += text;
      if (!log.includes('"model_ready"')) return;
      resolve({server, address: '127.0.0.1:' + JSON.parse(fs.readFileSync(ports)).grpc});
    });
    server.on('exit', (code) => reject(new Error('the server ended with ' + code + ': ' + log)));
  });
}

function callUnary(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, (error, response) => error ? reject(error) : resolve(response));
  });
}

// Sends one question to reflection and gives the one answer.
function ask(address, question) {
  const types = grpc.loadPackageDefinition(loader.loadSync(path.join(__dirname, 'reflection.proto'), {keepCase: true}));
  const client = new types.grpc.reflection.v1alpha.ServerReflection(
      address, grpc.credentials.createInsecure());
  return new Promise((resolve, reject) => {
    const call = client.ServerReflectionInfo();
    call.on('data', (answer) => {
      call.end();
      resolve(answer);
    });
    call.on('error', reject);
    call.on('end', () => client.close());
    call.write(question);
  });
}

// FileDescriptorSet with field 1 for each file.
function toDescriptorSet(files) {
  const parts = [];
  for (const file of files) {
    const length = [];
    for (let rest = file.length; ; rest >>>= 7) {
      length.push(rest > 127 ? (rest & 127) | 128 : rest);
      if (rest <= 127) break;
    }
    parts.push(Buffer.from([10, ...length]), file);
  }
  return Buffer.concat(parts);
}

function translateStream(client, chunks) {
  return new Promise((resolve, reject) => {
    const call = client.StreamTranslate();
    const events = [];
    call.on('data', (event) => events.push(event));
    call.on('error', reject);
    call.on('status', (status) => {
      if (status.code === grpc.status.OK) resolve(events);
    });
    call.write({config: {source_language: 'en', target_languages: ['de'], text_input: {}, sentence: {}}});
    for (const text of chunks) call.write({text: {text}});
    call.end();
  });
}

async function main() {
  const {server, address} = await startServer();
  try {
    const listed = await ask(address, {list_services: '*'});
    const names = listed.list_services_response.service.map((service) => service.name);
    assert(names.includes('dragoman.v1.Interpreter'), 'listed: ' + names);
    assert(names.includes('grpc.health.v1.Health'), 'listed: ' + names);

    const described = await ask(address, {file_containing_symbol: 'dragoman.v1.Interpreter'});
    const files = described.file_descriptor_response.file_descriptor_proto;
    const types = grpc.loadPackageDefinition(
        loader.loadFileDescriptorSetFromBuffer(toDescriptorSet(files), {defaults: true}));
    const client = new types.dragoman.v1.Interpreter(address, grpc.credentials.createInsecure());

    const models = await callUnary(client, 'ListModels', {});
    assert(models.models.length === 1 && models.models[0].is_default);
    const info = await callUnary(client, 'GetInfo', {});
    assert(info.contract_revision >= 1);

    const request = {source_language: 'en', target_language: 'de', text: 'Good morning. Thank you.'};
    const unary = await callUnary(client, 'Translate', request);
    assert(unary.text.length > 0 && unary.segments.length === 2);
    const events = await translateStream(client, ['Good mor', 'ning. Thank', ' you.']);
    assert(events[0].started, 'the first event is SessionStarted');
    assert(events[events.length - 1].ended, 'the last event is SessionEnded');
    const finals = events.filter((event) => event.segment_final).map((e) => e.segment_final.text);
    assert.deepStrictEqual(finals, unary.segments.map((segment) => segment.target));

    const refused = await callUnary(client, 'Translate', {...request, source_language: 'e n'})
        .then(() => null, (error) => error);
    assert.strictEqual(refused.code, grpc.status.INVALID_ARGUMENT);
    assert(refused.metadata.get('grpc-status-details-bin').length === 1, 'details are there');

    let next = 0;
    const begin = Date.now();
    await Promise.all(Array.from({length: kInFlight}, async () => {
      while (next++ < kCalls) {
        const answer = await callUnary(client, 'Translate', {...request, text: 'Thank you.'});
        assert(answer.text.length > 0);
      }
    }));
    console.log(`${kCalls} unary calls, 0 failures, ${Date.now() - begin} ms`);
    client.close();
  } finally {
    server.removeAllListeners('exit');
    const ended = new Promise((resolve) => server.on('exit', resolve));
    server.kill('SIGTERM');
    assert.strictEqual(await ended, 0, 'the server ends with 0');
  }
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
