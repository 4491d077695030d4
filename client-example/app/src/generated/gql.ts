/* eslint-disable */
import * as types from './graphql';



/**
 * Map of all GraphQL operations in the project.
 *
 * This map has several performance disadvantages:
 * 1. It is not tree-shakeable, so it will include all operations in the project.
 * 2. It is not minifiable, so the string of a GraphQL query will be multiple times inside the bundle.
 * 3. It does not support dead code elimination, so it will add unused operations.
 *
 * Therefore it is highly recommended to use the babel or swc plugin for production.
 * Learn more about it here: https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#reducing-bundle-size
 */
type Documents = {
    "\n  query Viewer {\n    viewer {\n      id\n    }\n  }\n": typeof types.ViewerDocument,
    "\n  query Devices {\n    viewer {\n      devices {\n        id\n        name\n        platform\n        lastSeenAt\n        behind\n        pending {\n          count\n        }\n        verdict\n      }\n    }\n  }\n": typeof types.DevicesDocument,
    "\n  mutation RenameDevice($input: RenameDeviceInput!) {\n    renameDevice(input: $input) {\n      refusal {\n        message\n      }\n    }\n  }\n": typeof types.RenameDeviceDocument,
    "\n  mutation ForgetDevice($input: ForgetDeviceInput!) {\n    forgetDevice(input: $input) {\n      forgottenDeviceId\n    }\n  }\n": typeof types.ForgetDeviceDocument,
    "\n  mutation SignOutEverywhere($input: SignOutEverywhereInput!) {\n    signOutEverywhere(input: $input) {\n      signedOutAt\n    }\n  }\n": typeof types.SignOutEverywhereDocument,
    "\n  mutation ExportLibrary($input: ExportLibraryInput!) {\n    exportLibrary(input: $input) {\n      address\n      refusal {\n        message\n      }\n    }\n  }\n": typeof types.ExportLibraryDocument,
    "\n  mutation RequestAccountErasure($input: RequestAccountErasureInput!) {\n    requestAccountErasure(input: $input) {\n      confirmationToken\n      refusal {\n        message\n      }\n    }\n  }\n": typeof types.RequestAccountErasureDocument,
    "\n  mutation EraseAccount($input: EraseAccountInput!) {\n    eraseAccount(input: $input) {\n      refusal {\n        message\n      }\n    }\n  }\n": typeof types.EraseAccountDocument,
    "\n  query Changes($since: Int!, $epoch: ID, $after: String) {\n    libraryChanges(since: $since, epoch: $epoch, after: $after) {\n      reset\n      erased\n      hasMore\n      endCursor\n      head\n      changes {\n        __typename\n        ... on Tag {\n          id\n          name\n        }\n        ... on Fandom {\n          id\n          name\n        }\n        ... on Story {\n          id\n          title\n          author\n          url\n          publicationStatus\n          chapterCount\n          tags {\n            id\n          }\n          fandoms {\n            id\n          }\n        }\n        ... on Progress {\n          id\n          storyId\n          currentChapter\n          readingStatus\n          rating\n          notes\n          updatedAt\n        }\n        ... on Tombstone {\n          kind\n          rowId\n        }\n      }\n    }\n  }\n": typeof types.ChangesDocument,
    "\n  fragment ConflictParts on Conflict {\n    fields {\n      field\n      theirs\n      yours\n      at\n      device {\n        name\n      }\n    }\n  }\n": typeof types.ConflictPartsFragmentDoc,
    "\n  mutation AddStory($input: CreateStoryWithProgressInput!) {\n    createStoryWithProgress(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n": typeof types.AddStoryDocument,
    "\n  mutation UpdateProgress($input: UpdateProgressInput!) {\n    updateProgress(input: $input) {\n      refusal {\n        code\n        message\n      }\n      conflict {\n        ...ConflictParts\n      }\n    }\n  }\n": typeof types.UpdateProgressDocument,
    "\n  mutation UpdateStory($input: UpdateStoryWithRelationsInput!) {\n    updateStoryWithRelations(input: $input) {\n      refusal {\n        code\n        message\n      }\n      conflict {\n        ...ConflictParts\n      }\n    }\n  }\n": typeof types.UpdateStoryDocument,
    "\n  mutation CreateTag($input: CreateLabelInput!) {\n    createTag(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n": typeof types.CreateTagDocument,
    "\n  mutation CreateFandom($input: CreateLabelInput!) {\n    createFandom(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n": typeof types.CreateFandomDocument,
    "\n  mutation DeleteEntry($input: DeleteProgressInput!) {\n    deleteProgress(input: $input) {\n      conflict {\n        ...ConflictParts\n      }\n      refusal {\n        code\n        message\n      }\n    }\n  }\n": typeof types.DeleteEntryDocument,
    "\n  mutation ImportEntries($input: ImportLibraryInput!) {\n    importLibrary(input: $input) {\n      importedCount\n      duplicateCount\n      invalidCount\n      refusal {\n        code\n        message\n      }\n    }\n  }\n": typeof types.ImportEntriesDocument,
    "\n  query History {\n    history(first: 10) {\n      nodes {\n        version\n        at\n        device {\n          id\n          name\n        }\n        changes(first: 4) {\n          kind\n          id\n          action\n          fields {\n            field\n            before\n            after\n          }\n        }\n      }\n    }\n  }\n": typeof types.HistoryDocument,
};
const documents: Documents = {
    "\n  query Viewer {\n    viewer {\n      id\n    }\n  }\n": types.ViewerDocument,
    "\n  query Devices {\n    viewer {\n      devices {\n        id\n        name\n        platform\n        lastSeenAt\n        behind\n        pending {\n          count\n        }\n        verdict\n      }\n    }\n  }\n": types.DevicesDocument,
    "\n  mutation RenameDevice($input: RenameDeviceInput!) {\n    renameDevice(input: $input) {\n      refusal {\n        message\n      }\n    }\n  }\n": types.RenameDeviceDocument,
    "\n  mutation ForgetDevice($input: ForgetDeviceInput!) {\n    forgetDevice(input: $input) {\n      forgottenDeviceId\n    }\n  }\n": types.ForgetDeviceDocument,
    "\n  mutation SignOutEverywhere($input: SignOutEverywhereInput!) {\n    signOutEverywhere(input: $input) {\n      signedOutAt\n    }\n  }\n": types.SignOutEverywhereDocument,
    "\n  mutation ExportLibrary($input: ExportLibraryInput!) {\n    exportLibrary(input: $input) {\n      address\n      refusal {\n        message\n      }\n    }\n  }\n": types.ExportLibraryDocument,
    "\n  mutation RequestAccountErasure($input: RequestAccountErasureInput!) {\n    requestAccountErasure(input: $input) {\n      confirmationToken\n      refusal {\n        message\n      }\n    }\n  }\n": types.RequestAccountErasureDocument,
    "\n  mutation EraseAccount($input: EraseAccountInput!) {\n    eraseAccount(input: $input) {\n      refusal {\n        message\n      }\n    }\n  }\n": types.EraseAccountDocument,
    "\n  query Changes($since: Int!, $epoch: ID, $after: String) {\n    libraryChanges(since: $since, epoch: $epoch, after: $after) {\n      reset\n      erased\n      hasMore\n      endCursor\n      head\n      changes {\n        __typename\n        ... on Tag {\n          id\n          name\n        }\n        ... on Fandom {\n          id\n          name\n        }\n        ... on Story {\n          id\n          title\n          author\n          url\n          publicationStatus\n          chapterCount\n          tags {\n            id\n          }\n          fandoms {\n            id\n          }\n        }\n        ... on Progress {\n          id\n          storyId\n          currentChapter\n          readingStatus\n          rating\n          notes\n          updatedAt\n        }\n        ... on Tombstone {\n          kind\n          rowId\n        }\n      }\n    }\n  }\n": types.ChangesDocument,
    "\n  fragment ConflictParts on Conflict {\n    fields {\n      field\n      theirs\n      yours\n      at\n      device {\n        name\n      }\n    }\n  }\n": types.ConflictPartsFragmentDoc,
    "\n  mutation AddStory($input: CreateStoryWithProgressInput!) {\n    createStoryWithProgress(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n": types.AddStoryDocument,
    "\n  mutation UpdateProgress($input: UpdateProgressInput!) {\n    updateProgress(input: $input) {\n      refusal {\n        code\n        message\n      }\n      conflict {\n        ...ConflictParts\n      }\n    }\n  }\n": types.UpdateProgressDocument,
    "\n  mutation UpdateStory($input: UpdateStoryWithRelationsInput!) {\n    updateStoryWithRelations(input: $input) {\n      refusal {\n        code\n        message\n      }\n      conflict {\n        ...ConflictParts\n      }\n    }\n  }\n": types.UpdateStoryDocument,
    "\n  mutation CreateTag($input: CreateLabelInput!) {\n    createTag(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n": types.CreateTagDocument,
    "\n  mutation CreateFandom($input: CreateLabelInput!) {\n    createFandom(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n": types.CreateFandomDocument,
    "\n  mutation DeleteEntry($input: DeleteProgressInput!) {\n    deleteProgress(input: $input) {\n      conflict {\n        ...ConflictParts\n      }\n      refusal {\n        code\n        message\n      }\n    }\n  }\n": types.DeleteEntryDocument,
    "\n  mutation ImportEntries($input: ImportLibraryInput!) {\n    importLibrary(input: $input) {\n      importedCount\n      duplicateCount\n      invalidCount\n      refusal {\n        code\n        message\n      }\n    }\n  }\n": types.ImportEntriesDocument,
    "\n  query History {\n    history(first: 10) {\n      nodes {\n        version\n        at\n        device {\n          id\n          name\n        }\n        changes(first: 4) {\n          kind\n          id\n          action\n          fields {\n            field\n            before\n            after\n          }\n        }\n      }\n    }\n  }\n": types.HistoryDocument,
};

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Viewer {\n    viewer {\n      id\n    }\n  }\n"): typeof import('./graphql').ViewerDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Devices {\n    viewer {\n      devices {\n        id\n        name\n        platform\n        lastSeenAt\n        behind\n        pending {\n          count\n        }\n        verdict\n      }\n    }\n  }\n"): typeof import('./graphql').DevicesDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation RenameDevice($input: RenameDeviceInput!) {\n    renameDevice(input: $input) {\n      refusal {\n        message\n      }\n    }\n  }\n"): typeof import('./graphql').RenameDeviceDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation ForgetDevice($input: ForgetDeviceInput!) {\n    forgetDevice(input: $input) {\n      forgottenDeviceId\n    }\n  }\n"): typeof import('./graphql').ForgetDeviceDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation SignOutEverywhere($input: SignOutEverywhereInput!) {\n    signOutEverywhere(input: $input) {\n      signedOutAt\n    }\n  }\n"): typeof import('./graphql').SignOutEverywhereDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation ExportLibrary($input: ExportLibraryInput!) {\n    exportLibrary(input: $input) {\n      address\n      refusal {\n        message\n      }\n    }\n  }\n"): typeof import('./graphql').ExportLibraryDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation RequestAccountErasure($input: RequestAccountErasureInput!) {\n    requestAccountErasure(input: $input) {\n      confirmationToken\n      refusal {\n        message\n      }\n    }\n  }\n"): typeof import('./graphql').RequestAccountErasureDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation EraseAccount($input: EraseAccountInput!) {\n    eraseAccount(input: $input) {\n      refusal {\n        message\n      }\n    }\n  }\n"): typeof import('./graphql').EraseAccountDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Changes($since: Int!, $epoch: ID, $after: String) {\n    libraryChanges(since: $since, epoch: $epoch, after: $after) {\n      reset\n      erased\n      hasMore\n      endCursor\n      head\n      changes {\n        __typename\n        ... on Tag {\n          id\n          name\n        }\n        ... on Fandom {\n          id\n          name\n        }\n        ... on Story {\n          id\n          title\n          author\n          url\n          publicationStatus\n          chapterCount\n          tags {\n            id\n          }\n          fandoms {\n            id\n          }\n        }\n        ... on Progress {\n          id\n          storyId\n          currentChapter\n          readingStatus\n          rating\n          notes\n          updatedAt\n        }\n        ... on Tombstone {\n          kind\n          rowId\n        }\n      }\n    }\n  }\n"): typeof import('./graphql').ChangesDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  fragment ConflictParts on Conflict {\n    fields {\n      field\n      theirs\n      yours\n      at\n      device {\n        name\n      }\n    }\n  }\n"): typeof import('./graphql').ConflictPartsFragmentDoc;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation AddStory($input: CreateStoryWithProgressInput!) {\n    createStoryWithProgress(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n"): typeof import('./graphql').AddStoryDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation UpdateProgress($input: UpdateProgressInput!) {\n    updateProgress(input: $input) {\n      refusal {\n        code\n        message\n      }\n      conflict {\n        ...ConflictParts\n      }\n    }\n  }\n"): typeof import('./graphql').UpdateProgressDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation UpdateStory($input: UpdateStoryWithRelationsInput!) {\n    updateStoryWithRelations(input: $input) {\n      refusal {\n        code\n        message\n      }\n      conflict {\n        ...ConflictParts\n      }\n    }\n  }\n"): typeof import('./graphql').UpdateStoryDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation CreateTag($input: CreateLabelInput!) {\n    createTag(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n"): typeof import('./graphql').CreateTagDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation CreateFandom($input: CreateLabelInput!) {\n    createFandom(input: $input) {\n      refusal {\n        code\n        message\n        existingId\n      }\n    }\n  }\n"): typeof import('./graphql').CreateFandomDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation DeleteEntry($input: DeleteProgressInput!) {\n    deleteProgress(input: $input) {\n      conflict {\n        ...ConflictParts\n      }\n      refusal {\n        code\n        message\n      }\n    }\n  }\n"): typeof import('./graphql').DeleteEntryDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation ImportEntries($input: ImportLibraryInput!) {\n    importLibrary(input: $input) {\n      importedCount\n      duplicateCount\n      invalidCount\n      refusal {\n        code\n        message\n      }\n    }\n  }\n"): typeof import('./graphql').ImportEntriesDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query History {\n    history(first: 10) {\n      nodes {\n        version\n        at\n        device {\n          id\n          name\n        }\n        changes(first: 4) {\n          kind\n          id\n          action\n          fields {\n            field\n            before\n            after\n          }\n        }\n      }\n    }\n  }\n"): typeof import('./graphql').HistoryDocument;


export function graphql(source: string) {
  return (documents as any)[source] ?? {};
}
