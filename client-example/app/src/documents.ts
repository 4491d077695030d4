// Every GraphQL document of the app. `npm run generate` writes their types to src/generated.

import { graphql } from "./generated/index.ts";

export const Viewer = graphql(`
  query Viewer {
    viewer {
      id
    }
  }
`);

export const Changes = graphql(`
  query Changes($since: Int!, $epoch: ID, $after: String) {
    libraryChanges(since: $since, epoch: $epoch, after: $after) {
      reset
      hasMore
      endCursor
      head
      changes {
        __typename
        ... on Tag {
          id
          name
        }
        ... on Fandom {
          id
          name
        }
        ... on Story {
          id
          title
          author
          url
          publicationStatus
          chapterCount
          tags {
            id
          }
        }
        ... on Progress {
          id
          storyId
          currentChapter
          readingStatus
          rating
          notes
          updatedAt
        }
        ... on Tombstone {
          kind
          rowId
        }
      }
    }
  }
`);

export const AddStory = graphql(`
  mutation AddStory($input: CreateStoryWithProgressInput!) {
    createStoryWithProgress(input: $input) {
      refusal {
        code
        message
        existingId
      }
    }
  }
`);

export const UpdateProgress = graphql(`
  mutation UpdateProgress($input: UpdateProgressInput!) {
    updateProgress(input: $input) {
      refusal {
        code
        message
      }
      conflict {
        fields {
          field
          theirs
          yours
          at
          device {
            name
          }
        }
      }
    }
  }
`);

export const UpdateStory = graphql(`
  mutation UpdateStory($input: UpdateStoryWithRelationsInput!) {
    updateStoryWithRelations(input: $input) {
      refusal {
        code
        message
      }
      conflict {
        fields {
          field
          theirs
          yours
          at
          device {
            name
          }
        }
      }
    }
  }
`);

export const CreateTag = graphql(`
  mutation CreateTag($input: CreateLabelInput!) {
    createTag(input: $input) {
      refusal {
        code
        message
        existingId
      }
    }
  }
`);

export const DeleteEntry = graphql(`
  mutation DeleteEntry($input: DeleteProgressInput!) {
    deleteProgress(input: $input) {
      refusal {
        code
        message
      }
    }
  }
`);
